"""What has to go on while a rebuild does, and ends it when it fails."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import asyncpg

from contracts.errors import OperationError


class LockLost(OperationError):
    """The connection is gone that kept others from the generation."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the connection to the database was lost, and with it the lock on generation {name!r}:"
            f" go on with `runfold rebuild --name {name} --resume`"
        )


@asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do this while the block runs, which ends when it fails; wait for its end."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(work)
            yield
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


@asynccontextmanager
async def holding(connection: asyncpg.Connection, name: str) -> AsyncIterator[None]:
    """End the block when the connection ends that holds a lock for it. Raises `LockLost`."""
    ended = asyncio.Event()

    def end(_: object) -> None:
        ended.set()

    async def lost() -> None:
        await ended.wait()
        if connection.is_closed():
            raise LockLost(name)

    connection.add_termination_listener(end)
    try:
        async with beside(lost()):
            yield
            ended.set()
    except Exception as error:
        # whoever uses the connection may notice first
        if connection.is_closed():
            raise LockLost(name) from error
        raise
    finally:
        connection.remove_termination_listener(end)
