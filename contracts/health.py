"""Whether a dependency is there: one log line when it goes away, one when it is back."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import structlog

T = TypeVar("T")

LOST: Final = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises of a connection that is gone, besides what the server has said.

The internal error comes of the next use of a connection whose server has said goodbye and not
closed it yet, and of a rollback on one whose server has just been killed.
"""

CLIENTS: Final = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
)
"""What asyncpg raises in its own words, of what it was told or has noticed."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


def cause(error: BaseException) -> BaseException:
    """Return what an error came of, in words for people.

    asyncpg tells of a connection that was lost within a transaction in its own terms, and of what
    the server has said before it closed one as the cause of that.
    """
    while isinstance(error, CLIENTS):
        before = error.__cause__ or error.__context__
        # else it is of whoever called, who was dealing with another error
        if not isinstance(before, (*LOST, asyncpg.PostgresError)):
            break
        error = before
    if isinstance(error, asyncpg.InternalClientError):
        return ConnectionResetError("the connection was lost")
    return error


class Outage:
    """Whether one dependency (`database`, `broker`) is away, and since when."""

    def __init__(self, dependency: str) -> None:
        self.dependency = dependency
        """What it is called."""
        self._log = structlog.get_logger("runfold")
        self._since: float | None = None
        self._attempts = 0
        self.ended = 0
        """Outages that are over."""
        self.failures = 0
        """Failed attempts so far."""
        self.last_error: str | None = None
        """What the newest failure said; kept after recovery, for `status`."""

    @property
    def is_on(self) -> bool:
        """Whether the dependency is away as far as we know."""
        return self._since is not None

    def failed(self, error: BaseException | str) -> None:
        """Note a failed attempt; the first of an outage is logged."""
        found = cause(error) if isinstance(error, BaseException) else error
        self._attempts += 1
        self.failures += 1
        self.last_error = str(found) or type(found).__name__
        if self._since is None:
            self._since = time.monotonic()
            self._log.warning(
                f"{self.dependency} is away; waiting for it and trying again",
                error=self.last_error,
            )

    def over(self) -> None:
        """Note that it works; the end of an outage is logged."""
        if self._since is None:
            return
        away = time.monotonic() - self._since
        self._log.info(f"{self.dependency} is back", away_seconds=round(away, 1))
        self._since = None
        self._attempts = 0
        self.ended += 1

    async def wait(self, stopping: asyncio.Event) -> None:
        """Wait before the next attempt, longer each time and unevenly, or until `stopping`."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._attempts, 10))
        # unevenly, so that workers do not come back all at once
        await pause(stopping, longest * random.uniform(0.5, 1.0))  # noqa: S311


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until `stopping` is set."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


class Stopping(Exception):
    """The process was asked to stop while it waited for a dependency."""


async def keep_trying(
    work: Callable[[], Awaitable[T]],
    outage: Outage,
    stopping: asyncio.Event,
    is_away: Callable[[Exception], bool],
) -> T:
    """Return what `work` returns, retrying with back-off while its dependency is away.

    `is_away` tells an error of the dependency from any other, which is raised. Raises `Stopping`.
    """
    while not stopping.is_set():
        try:
            result = await work()
        except Exception as error:
            if not is_away(error):
                raise
            outage.failed(error)
            await outage.wait(stopping)
        else:
            outage.over()
            return result
    raise Stopping
