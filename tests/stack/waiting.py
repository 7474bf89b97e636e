"""Wait for a condition, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_POLL_S = 0.02


@overload
async def until(condition: Callable[[], Awaitable[T]], deadline_s: float, what: str) -> T: ...
@overload
async def until(condition: Callable[[], T], deadline_s: float, what: str) -> T: ...
async def until(condition: Callable[[], object], deadline_s: float, what: str) -> object:
    """The first truthy value of `condition`, a function or a coroutine function, polled.

    After `deadline_s` seconds an AssertionError that names what was awaited and the last value.
    What `condition` raises is raised at once.
    """
    give_up = time.monotonic() + deadline_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {deadline_s:g} s for {what}; last seen: {value!r}")
        await asyncio.sleep(_POLL_S)
