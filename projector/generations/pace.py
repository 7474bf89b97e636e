"""No faster than was asked for."""

import asyncio
import time


class Pace:
    """Holds a loader to its share of `--max-rate`; None is as fast as it goes."""

    def __init__(self, per_second: float | None = None) -> None:
        self._per_second = per_second
        self._began = time.monotonic()
        self._events = 0

    def at_once(self, most: int) -> int:
        """How many events to take at once, `most` at most: a second's worth."""
        return most if self._per_second is None else max(1, min(most, int(self._per_second)))

    async def after(self, events: int) -> None:
        """Wait until these events, too, are within the rate."""
        self._events += events
        if self._per_second is not None:
            due = self._began + self._events / self._per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
