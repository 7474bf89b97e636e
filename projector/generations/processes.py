"""The process pool of a rebuild: a core for each job, at a lower priority than live workers.

What the jobs have done is in the database; only what went wrong comes back.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import (
    active_children,
    forkserver,
    get_context,
    parent_process,
    resource_tracker,
)
from threading import Thread
from typing import Any, Final, TypeAlias

import uvloop

from contracts.errors import OperationError, RunfoldError
from contracts.logging import configure
from projector.garbage import collect_seldom

Job: TypeAlias = tuple[Callable[..., Coroutine[Any, Any, None]], tuple[Any, ...]]
"""A coroutine function of a module, and arguments that can be sent to another process."""

PRELOADED: Final = ["projector.generations.load", "projector.generations.settle"]
"""Modules that are imported once, however many processes there are."""
CONTEXT: Final = get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOADED)
NICE: Final = 3


def get_ready() -> None:
    """Start to import what the processes need, while the caller does something else."""
    with _no_interrupts():
        forkserver.ensure_running()


async def work(jobs: Sequence[Job]) -> None:
    """Do each job in a process of its own, and wait for all of them.

    When one fails the others are ended and its error is raised, as `OperationError`.
    """
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(max(1, len(jobs)), CONTEXT, initializer=_begin) as pool:
        with _no_interrupts():
            doing = [loop.run_in_executor(pool, _do, *job) for job in jobs]
        try:
            await asyncio.gather(*doing)
        except BaseException as error:
            # the pool itself would wait for them
            for process in active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                killed = "a process of the rebuild was killed: resume it with --resume"
                raise OperationError(killed) from None
            raise


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Let processes that are started here never see a Ctrl-C: their parent ends them."""
    # would be started with the first process, and lifts the block when it is
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _begin() -> None:
    os.nice(NICE)
    configure(clients=False)
    collect_seldom()
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """The watchdog: a pool's processes wait for work for ever when their parent was killed."""
    if (parent := parent_process()) is not None:
        parent.join()
    os._exit(1)


def _do(job: Callable[..., Coroutine[Any, Any, None]], arguments: tuple[Any, ...]) -> None:
    try:
        uvloop.run(job(*arguments))
    except RunfoldError as error:
        # an error with arguments of its own cannot be sent back
        raise OperationError(str(error)) from None
