"""One line when a dependency goes away and one when it is back, however often it was tried."""

import asyncio
import random
import time
from typing import Final

import asyncpg
import structlog

LOST: Final = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises of a connection that is gone, besides what the server has said.

The internal error comes of the next use of a connection whose server has said goodbye and not
closed it yet, and of a rollback on one whose server has just been killed.
"""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


class Outage:
    """Whether one dependency (`database`, `broker`) is away, and since when."""

    def __init__(self, dependency: str, calm_seconds: float = 0.0) -> None:
        self.dependency = dependency
        """What it is called."""
        self._calm = calm_seconds
        self._log = structlog.get_logger("runfold")
        self._since: float | None = None
        self._failed_at = 0.0
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

    def failed(self, error: object) -> None:
        """Take note of a failed attempt; the first of an outage is told."""
        self._attempts += 1
        self.failures += 1
        self.last_error = str(error) or type(error).__name__
        self._failed_at = time.monotonic()
        if self._since is None:
            self._since = self._failed_at
            self._log.warning(
                f"{self.dependency} is away; waiting for it and trying again",
                error=self.last_error,
            )

    def over(self, seconds_ago: float = 0.0) -> None:
        """Take note that it worked so long ago.

        The outage is over, which is told, when that was after the latest failure and nothing has
        failed for `calm_seconds`.
        """
        calm = time.monotonic() - self._failed_at
        if self._since is None or calm < max(seconds_ago, self._calm):
            return
        away = time.monotonic() - self._since - self._calm
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
