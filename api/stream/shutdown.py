"""Word of a shutdown, before the server waits for what is under way: a stream has no end."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def called_at_shutdown(end: Callable[[], None]) -> Iterator[None]:
    """Have `end` called in this loop when a signal tells the server to end.

    The server's own handler is called as before. Where no server handles signals nothing does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        handler = former[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    taken = [number for number, handler in former.items() if _is_a_servers(handler)]
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, former[number])


def _is_a_servers(handler: object) -> bool:
    return callable(handler) and handler is not signal.default_int_handler
