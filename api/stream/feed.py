"""One connection that listens, for all clients of this process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg
import structlog

from api.auth import Bearer, Role
from api.database import CONNECT_TIMEOUT_S, SESSION
from api.problems import Problem, Unavailable
from api.reading import Views
from api.stream import changes
from api.stream.changes import Changes
from api.stream.subscription import Subscription
from contracts.changes import CHANNEL
from contracts.health import LOST, Outage

TOGETHER_S: Final = 0.1
"""How long changes are gathered: clients are told at most so often."""

UNTOLD_S: Final = 5.0
"""How often is looked without having been notified."""

CLOSE_S: Final = 1.0

logger = structlog.stdlib.get_logger("api.stream")
JOIN_S: Final = 5.0


class TooManyStreams(Unavailable):
    """This process follows changes for as many clients as it may."""

    def __init__(self) -> None:
        super().__init__("too_many_streams", "too many clients follow changes already", 10)


class Feed:
    """Reads the log of changes while anybody follows it, and hands each client its share."""

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
        """Follow the log as long as the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.close()
            task.cancel()
            await asyncio.wait({task})

    def close(self) -> None:
        """End every stream, and begin no other."""
        self._closing.set()
        for each in self._subscriptions:
            each.close()

    @contextmanager
    def subscription(self, projects: list[str] | None) -> Iterator[Subscription]:
        """A client's share of the changes as long as the block runs. Raises `TooManyStreams`."""
        if self._closing.is_set():
            raise Unavailable("closing", "this server is being shut down")
        if len(self._subscriptions) >= self._most:
            raise TooManyStreams
        mine = Subscription(projects)
        self._subscriptions.add(mine)
        self._wake.set()
        try:
            yield mine
        finally:
            self._subscriptions.discard(mine)

    async def joined(self, subscription: Subscription) -> None:
        """Wait until nothing more will be missed. Raises `Unavailable` when that takes long."""
        try:
            async with asyncio.timeout(JOIN_S):
                await subscription.joined.wait()
        except TimeoutError:
            detail = "the database's changes cannot be followed"
            raise Unavailable("database_unavailable", detail) from None

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._wake.wait()
            if not self._subscriptions and not self._outage.is_on:
                # it was the end of the connection that nobody needs any more
                self._wake.clear()
                continue
            try:
                await self._follow()
            except (*LOST, asyncpg.PostgresError, Problem) as error:
                await self._failed(error)
            except Exception as error:
                logger.exception("following the changes has failed; it begins again")
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
            # Nobody is owed anything: whoever comes next begins where the log is then.
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
            # whoever has just come reads by itself what it missed up to here, or does not ask
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
