"""Live updates: one connection listens to the database, and each client gets its share.

`Feed` reads the log of changes while anybody follows it and offers what it finds to every
`Subscription`; `frames` makes server-sent events of a subscription, and `EventStream` sends them.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import asyncpg
import structlog
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api import changes
from api.auth import Bearer, Role
from api.changes import Changes
from api.database import CONNECT_TIMEOUT_S, SESSION
from api.http import TRANSPORT
from api.problems import Problem, unavailable
from api.reading import Views
from contracts.changes import CHANNEL
from contracts.health import LOST, Outage

KEEP_ALIVE_S: Final = 15.0
MOST_WAITING: Final = 20_000
"""Most changes that wait for a client that reads slowly; with more its stream ends."""
SLOWEST_S: Final = 30.0
"""How long a client may take to read one part before its connection is cut."""
TOGETHER_S: Final = 0.1
"""How long changes are gathered before they are sent."""
UNTOLD_S: Final = 5.0
"""How often the log is read without a notification."""
JOIN_S: Final = 5.0
"""How long a client waits for the feed to begin."""
CLOSE_S: Final = 1.0

logger = structlog.stdlib.get_logger("api.stream")


class Subscription:
    """What one client has not been sent yet."""

    def __init__(self, projects: list[str] | None) -> None:
        self.projects = None if projects is None else frozenset(projects)
        """Projects whose runs it follows; None is every project."""
        self.joined = asyncio.Event()
        """Set once nothing that changes from now on will be missed."""
        self.is_open = True
        """Whether anything is to come; what waits is still sent when not."""
        self._waiting: deque[Changes] = deque()
        self._size = 0
        self._news = asyncio.Event()

    def offer(self, found: Changes) -> None:
        """Take the client's share of these changes; close when it is too far behind.

        Its client connects again with the last place it was sent, and misses nothing.
        """
        runs = tuple(
            each for each in found.runs if self.projects is None or each.project_id in self.projects
        )
        self._size += len(runs)
        if self._size > MOST_WAITING:
            self.close()
            return
        share = Changes(found.since, found.place, runs, found.is_lost)
        if self._waiting and not (share.is_news or self._waiting[-1].is_news):
            self._waiting.pop()  # of two mere places the later one is enough
        self._waiting.append(share)
        if share.is_news:
            self._news.set()

    def close(self) -> None:
        """Take no more."""
        self.is_open = False
        self._news.set()

    async def next(self, seconds: float) -> list[Changes]:
        """Return what waits, in order; wait at most so long for news."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        taken = [*self._waiting]
        self._waiting.clear()
        self._size = 0
        return taken


async def frames(
    subscription: Subscription, opening: Changes, until: float
) -> AsyncGenerator[bytes, None]:
    """Yield server-sent events, `opening` first, until the loop's clock says `until`.

    Ends too when the subscription is closed. Every event carries a place to resume from: of what
    was read together only the last event carries the new one, so that a client that is cut off
    before gets all of it again.
    """
    clock = asyncio.get_running_loop().time
    yield b"retry: 2000\n" + _rendered(opening)
    while (left := until - clock()) > 0:
        taken = await subscription.next(min(KEEP_ALIVE_S, left))
        if any(each.is_news for each in taken):
            yield b"".join(map(_rendered, taken))
        elif subscription.is_open:
            yield b": keep-alive\n" + (b"".join(map(_rendered, taken[-1:])) or b"\n")
        if not subscription.is_open:
            return


def _rendered(found: Changes) -> bytes:
    here = b"id: " + found.place.encode() + b"\n"
    if found.is_lost:
        return here + b"event: reset\ndata: {}\n\n"
    if not found.runs:
        return here + b"\n"  # no event; the client keeps the place
    before = b"id: " + found.since.encode() + b"\n"
    events = [b"event: run\ndata: " + each.data + b"\n\n" for each in found.runs]
    return b"".join(before + each for each in events[:-1]) + here + events[-1]


class EventStream(StreamingResponse):
    """Server-sent events; releases `resources` when it ends, in whatever way.

    Cuts the connection of a client that does not read: no server waits for it.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], resources: ExitStack) -> None:
        # a proxy that buffers a response would buffer this one for ever
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, headers=headers)
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        transport: asyncio.Transport | None = scope.get(TRANSPORT)

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SLOWEST_S):
                await send(message)

        with self._resources:
            if transport is not None:
                # sending waits until the client has taken all that was sent before
                transport.set_write_buffer_limits(0)
            with suppress(TimeoutError):
                await super().__call__(scope, receive, send_in_time)
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()
                await asyncio.sleep(0)  # the server notices before the place is free


class Feed:
    """Reads the log of changes while anybody follows it."""

    def __init__(self, database_url: str, views: Views, most: int, outage: Outage) -> None:
        self._url, self._views, self._most, self._outage = database_url, views, most, outage
        self._subscriptions: set[Subscription] = set()
        self._place: str | None = None
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        """How many clients follow."""
        return len(self._subscriptions)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the log while the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.close()
            task.cancel()
            await asyncio.wait({task})

    def close(self) -> None:
        """End every stream, and begin no other."""
        if not self._closing.is_set():
            self._closing.set()
            for each in self._subscriptions:
                each.close()

    @contextmanager
    def subscription(self, projects: list[str] | None) -> Iterator[Subscription]:
        """Subscribe a client while the block runs. Raises `Problem`: 503."""
        if self._closing.is_set():
            raise unavailable("closing", "this server is being shut down")
        if len(self._subscriptions) >= self._most:
            raise unavailable("too_many_streams", "too many clients follow changes already", 10)
        mine = Subscription(projects)
        self._subscriptions.add(mine)
        self._wake.set()
        try:
            yield mine
        finally:
            self._subscriptions.discard(mine)

    async def joined(self, subscription: Subscription) -> None:
        """Wait until nothing more will be missed. Raises `Problem`: 503 when that takes long."""
        try:
            async with asyncio.timeout(JOIN_S):
                await subscription.joined.wait()
        except TimeoutError:
            detail = "the database's changes cannot be followed"
            raise unavailable("database_unavailable", detail) from None

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._wake.wait()
            if not self._subscriptions and not self._outage.is_on:
                # woken by the end of a connection that nobody needs any more
                self._wake.clear()
                continue
            try:
                await self._follow()
            except (*LOST, asyncpg.PostgresError, Problem) as error:
                await self._failed(error)
            except Exception as error:
                logger.exception("following the changes has failed; it starts again")
                await self._failed(error)

    async def _failed(self, error: Exception) -> None:
        self._outage.failed(error)
        if not self._subscriptions:
            self._place = None
        await self._outage.wait(self._closing)

    async def _follow(self) -> None:
        """Hand out changes until nobody follows them. Raises when the connection is lost."""
        connection = await asyncpg.connect(
            self._url, timeout=CONNECT_TIMEOUT_S, server_settings=SESSION
        )
        try:
            await connection.add_listener(CHANNEL, self._notified)
            connection.add_termination_listener(self._notified)
            while self._subscriptions:
                if connection.is_closed():
                    raise ConnectionResetError("the connection was lost")
                self._wake.clear()
                await self._hand_out()
                await self._gathered()
            # The next client begins where the log is then.
            self._place = None
            # an outage may have lasted longer than all who followed
            self._outage.over()
        finally:
            await connection.close(timeout=CLOSE_S)

    async def _hand_out(self) -> None:
        audience = [*self._subscriptions]
        async with self._views.snapshot(_together(audience)) as snapshot:
            if self._place is None:
                place = await changes.here(snapshot)
                found = Changes(place, place)
            else:
                found = await changes.since(snapshot, self._place, None)
        self._outage.over()
        self._place = found.place
        for each in audience:
            # a new client reads by itself what it missed up to here, or does not ask for it
            if each.joined.is_set():
                each.offer(found)
            each.joined.set()

    async def _gathered(self) -> None:
        await asyncio.sleep(TOGETHER_S)
        try:
            async with asyncio.timeout(UNTOLD_S):
                await self._wake.wait()
        except TimeoutError:
            return

    def _notified(self, *_: Any) -> None:
        self._wake.set()


def _together(audience: list[Subscription]) -> Bearer:
    """Return who may see what any of them may: the database shows the feed no more than that."""
    shares = [each.projects for each in audience]
    seen = {project for share in shares for project in share or ()}
    everything = any(share is None for share in shares)
    return Bearer("", None if everything else tuple(sorted(seen)), frozenset({Role.VIEWER}))
