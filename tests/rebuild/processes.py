"""The processes of a command."""

import asyncio

import psutil

from tests.stack.waiting import until


def children_of(pid: int) -> list[psutil.Process]:
    """The processes a process has begun, and theirs."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


async def killed(process: asyncio.subprocess.Process) -> None:
    """Return once a process was killed and those it had begun have ended."""
    children = children_of(process.pid)
    process.kill()
    await process.wait()
    await until(lambda: not alive(children), 20, "the processes of a killed rebuild to end")
