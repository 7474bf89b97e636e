"""How long something takes, many times over."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

Call = Callable[[], Awaitable[object]]


class Times(list[float]):
    """Durations of one thing, in milliseconds."""

    @property
    def p50(self) -> float:
        return sorted(self)[len(self) // 2]

    @property
    def p99(self) -> float:
        return sorted(self)[int(0.99 * len(self))]

    async def take(self, call: Call) -> None:
        began = time.perf_counter()
        await call()
        self.append(1000 * (time.perf_counter() - began))


async def timed(call: Call, times: int, *, at_most_s: float = 60.0) -> Times:
    """Do it so many times after once for the caches; fewer, once at least, if it takes long.

    The one for the caches counts if it alone takes longer than all may.
    """
    give_up = time.monotonic() + at_most_s
    taken = Times()
    await taken.take(call)
    if time.monotonic() < give_up:
        taken.clear()
    while not taken or (len(taken) < times and time.monotonic() < give_up):
        await taken.take(call)
    return taken


async def per_second(callers: Sequence[Call], seconds: float) -> tuple[float, int]:
    """Let all callers call again and again at once: calls per second, and how many there were."""
    calls = 0
    began = time.monotonic()

    async def repeat(call: Call) -> None:
        nonlocal calls
        while time.monotonic() < began + seconds:
            await call()
            calls += 1

    await asyncio.gather(*map(repeat, callers))
    return calls / (time.monotonic() - began), calls
