"""The processes that load, settle and derive: each has a core of its own, all end with the first.

What they have done is in the database, where the positions tell how far they are; only what went
wrong comes back.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final

import uvloop

from contracts.errors import OperationError, RunfoldError
from contracts.logging import configure
from projector.garbage import collect_seldom

Job = Callable[..., Awaitable[None]]
"""A coroutine function of a module, with arguments that can be sent to another process."""

CONTEXT: Final = get_context("forkserver")
# imported once, however many processes there are
CONTEXT.set_forkserver_preload(
    ["projector.rebuild.load", "projector.rebuild.settle", "projector.rebuild.derive"]
)
NICE: Final = 3
"""Live workers and readers go first where processors are scarce."""


def get_ready() -> None:
    """Begin to import what the processes need, while the caller goes on with its own work."""
    with _no_interrupts():
        forkserver.ensure_running()


async def work(jobs: Sequence[tuple[Job, tuple[Any, ...]]]) -> None:
    """Do the jobs in a process each, and wait for all of them.

    When one fails the others are ended and its error is raised, as `OperationError`. A process
    whose parent is gone ends by itself: the parent may have been killed.
    """
    try:
        async with asyncio.TaskGroup() as crew:
            for job, arguments in jobs:
                crew.create_task(_in_process(job, arguments))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _in_process(job: Job, arguments: tuple[Any, ...]) -> None:
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_run, args=(theirs, job, arguments))
    with _no_interrupts():
        process.start()
    theirs.close()
    try:
        await _readable(ours)
        _finished(ours)
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)
        ours.close()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Let a process that is started here never see a Ctrl-C: it is told by its parent."""
    # would be started with the first process, and lifts the block when it is
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


async def _readable(end: Pipe) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(end.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(end.fileno())


def _finished(end: Pipe) -> None:
    """Raise what a process has reported; a pipe that closed without a word is a killed process."""
    try:
        error = end.recv()
    except EOFError:
        raise OperationError("a process of the rebuild was killed: go on with --resume") from None
    if error is not None:
        raise OperationError(error)


def _run(report: Pipe, job: Job, arguments: tuple[Any, ...]) -> None:
    os.nice(NICE)
    configure(clients=False)
    collect_seldom()
    error: str | None = None
    try:
        uvloop.run(_with_parent(job(*arguments)))
    except RunfoldError as failure:
        error = str(failure)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
        raise
    finally:
        with suppress(BrokenPipeError):
            report.send(error)


async def _with_parent(job: Awaitable[None]) -> None:
    """Do the job for as long as the parent process lives."""
    parent = parent_process()
    working = asyncio.ensure_future(job)
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        raise OperationError("the rebuild that this process belongs to has ended") from None
