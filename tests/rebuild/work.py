"""Ways in which the jobs of a rebuild are done that are not to the end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from contracts.errors import OperationError
from projector.generations.processes import Job
from tests.rebuild.place import Place, in_process

ENDED = "the rebuild was ended"


async def ended(jobs: Sequence[Job]) -> None:
    """Do nothing, as a rebuild that is ended at once."""
    raise OperationError(ENDED)


@asynccontextmanager
async def held(place: Place, name: str) -> AsyncIterator[asyncio.Task[object]]:
    """A rebuild that begins to load only when the block has ended."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(jobs: Sequence[Job]) -> None:
        begun.set()
        await go_on.wait()
        await in_process(jobs)

    rebuilding: asyncio.Task[object] = asyncio.create_task(place.rebuild(name, wait))
    await asyncio.wait(
        {rebuilding, waiting := asyncio.create_task(begun.wait())},
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert waiting.done(), rebuilding
    try:
        yield rebuilding
    finally:
        go_on.set()
