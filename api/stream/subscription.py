"""One client's share of the changes, and how it reads on the wire."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from api.stream.changes import Changes

KEEP_ALIVE_SECONDS: Final = 15.0
MOST_WAITING: Final = 20_000
"""Most changes that wait for a client that reads slowly; with more it is sent away."""


class Subscription:
    """What one client is still to be told."""

    def __init__(self, projects: list[str] | None) -> None:
        self.projects = None if projects is None else frozenset(projects)
        """Projects whose runs are told; None is every project."""
        self.joined = asyncio.Event()
        """Set once nothing that changes from now on will be missed."""
        self.is_open = True
        """Whether anything is to come; what waits is still handed out when not."""
        self._waiting: deque[Changes] = deque()
        self._size = 0
        self._news = asyncio.Event()

    def offer(self, changes: Changes) -> None:
        """Let the client have its share of these changes; close when it is too far behind.

        A client that was sent away comes back with the place it had come to, and finds out
        there what it has missed.
        """
        runs = tuple(
            each
            for each in changes.runs
            if self.projects is None or each.project_id in self.projects
        )
        self._size += len(runs)
        if self._size > MOST_WAITING:
            self.close()
            return
        share = Changes(changes.since, changes.place, runs, changes.is_lost)
        if self._waiting and not (_tells(share) or _tells(self._waiting[-1])):
            self._waiting.pop()  # nothing in both: where the log is now will do
        self._waiting.append(share)
        if _tells(share):
            self._news.set()

    def close(self) -> None:
        """Take no more."""
        self.is_open = False
        self._news.set()

    async def next(self, seconds: float) -> list[Changes]:
        """Return what waits, in order; wait so long for something to tell."""
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
    """Yield server-sent events, the missed ones first, until the loop's clock says `until`.

    Ends too when the subscription is closed. Every event carries a place to go on from: only
    the last of what was read together has moved on, so that whoever is cut off within it is
    told all of it again.
    """
    clock = asyncio.get_running_loop().time
    yield b"retry: 2000\n" + _rendered(opening)
    while (left := until - clock()) > 0:
        taken = await subscription.next(min(KEEP_ALIVE_SECONDS, left))
        if any(map(_tells, taken)):
            yield b"".join(map(_rendered, taken))
        elif subscription.is_open:
            yield b": keep-alive\n" + (b"".join(map(_rendered, taken[-1:])) or b"\n")
        if not subscription.is_open:
            return


def _tells(changes: Changes) -> bool:
    """Whether a client is told more than a place."""
    return bool(changes.runs) or changes.is_lost


def _rendered(changes: Changes) -> bytes:
    here = b"id: " + changes.place.encode() + b"\n"
    if changes.is_lost:
        return here + b"event: reset\ndata: {}\n\n"
    if not changes.runs:
        return here + b"\n"  # no event; the client keeps the place
    before = b"id: " + changes.since.encode() + b"\n"
    told = [b"event: run\ndata: " + each.data + b"\n\n" for each in changes.runs]
    return b"".join(before + each for each in told[:-1]) + here + told[-1]
