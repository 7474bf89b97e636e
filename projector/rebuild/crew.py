"""The processes that load and derive: each decodes on a core of its own, all end with the first.

What they have done is in the database, where the positions tell how far they are; only what went
wrong comes back.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from contracts.errors import OperationError, RunfoldError

Job = Callable[..., Awaitable[None]]
"""A coroutine function of a module, with arguments that can be sent to another process."""

PARENT_LOOK_SECONDS: Final = 1.0


async def work(jobs: Sequence[tuple[Job, tuple[Any, ...]]]) -> None:
    """Do the jobs in a process each, and wait for all of them.

    When one fails the others are ended and its error is raised, as `OperationError`. A process
    whose parent is gone ends by itself: the parent may have been killed.
    """
    context = get_context("spawn")
    processes: list[SpawnProcess] = []
    ends: list[Pipe] = []
    try:
        for job, arguments in jobs:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(theirs, os.getpid(), job, arguments))
            process.start()
            theirs.close()
            processes.append(process)
            ends.append(ours)
        while ends:
            ready = await asyncio.to_thread(wait, ends)
            for end in ready:
                _finished(end)  # type: ignore[arg-type]
                ends.remove(end)  # type: ignore[arg-type]
    finally:
        for process in processes:
            process.terminate()
            await asyncio.to_thread(process.join)


def _finished(end: Pipe) -> None:
    """Raise what a process has reported; a pipe that closed without a word is a killed process."""
    try:
        error = end.recv()
    except EOFError:
        raise OperationError("a process of the rebuild was killed: go on with --resume") from None
    finally:
        end.close()
    if error is not None:
        raise OperationError(error)


def _run(report: Pipe, parent: int, job: Job, arguments: tuple[Any, ...]) -> None:
    try:
        asyncio.run(_watched(parent, job(*arguments)))
    except RunfoldError as error:
        report.send(str(error))
    except Exception as error:
        report.send(f"{type(error).__name__}: {error}")
        raise
    else:
        report.send(None)


async def _watched(parent: int, job: Awaitable[None]) -> None:
    working = asyncio.ensure_future(job)
    while not working.done():
        await asyncio.wait({working}, timeout=PARENT_LOOK_SECONDS)
        if os.getppid() != parent:
            working.cancel()
            raise OperationError("the rebuild that this process belongs to has ended")
    await working
