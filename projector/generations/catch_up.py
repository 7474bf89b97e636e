"""Bring a complete generation to where the active one is, and swap them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from contracts.errors import OperationError
from projector.generations import activation
from projector.generations.activation import ACTIVE
from projector.generations.plan import check_topics, spans, too_short
from projector.generations.reader import Reader, building, reading
from projector.generations.schema import positions
from projector.operations import dead_letters
from projector.settings import ProjectorSettings
from projector.writing.batch import Partition

CLOSE_ENOUGH: Final = 100
"""Events behind the active generation at which workers are made to wait for the rest."""
MOST_BEHIND: Final = 5_000
"""Events for which workers are made to wait at most, where it comes no nearer before."""
ATTEMPTS: Final = 3
"""How often it may read on without coming nearer."""

LEVEL_SECONDS: Final = 60.0
"""How long the active generation may come no nearer to what another one has already."""
LOOK_SECONDS: Final = 0.2


class CatchUp:
    """A complete generation on its way to where the active one is."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        settings: ProjectorSettings,
        name: str,
        reader: Reader,
        lost: Collection[Partition],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._name = name
        self._reader = reader
        self._lost = lost

    async def near(self) -> None:
        """Read until it is close. Raises `OperationError` when it does not come close enough."""
        behind = least = await self._behind()
        left = ATTEMPTS
        while behind > CLOSE_ENOUGH and left:
            await self.read(await self._active())
            behind = await self._behind()
            left = ATTEMPTS if behind < least else left - 1
            least = min(least, behind)
        if behind > MOST_BEHIND:
            raise OperationError(
                f"generation {self._name!r} is {behind} events behind the active one and comes no"
                " nearer, and workers are not made to wait for that many: run `runfold generations"
                f" activate {self._name}` when fewer events come"
            )

    async def level(self) -> None:
        """Wait until the active one has all that this one has.

        Raises `OperationError` when it comes no nearer.
        """
        clock = asyncio.get_running_loop().time
        least, since = await self._ahead(), clock()
        while ahead := await self._ahead():
            if ahead < least:
                least, since = ahead, clock()
            elif clock() - since > LEVEL_SECONDS:
                raise OperationError(
                    f"the active generation is {ahead} events behind {self._name!r} and comes no"
                    " nearer: they cannot be compared. See `runfold status` for its workers, then"
                    f" resume it with `runfold rebuild --name {self._name} --resume`"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def read(self, active: str) -> None:
        """Read to where the active generation stands."""
        ends = await self._ends(active)
        check_topics(self._settings, ends)
        await self._reader.up_to(ends)

    async def swap(self) -> None:
        """Make it the active one. Raises what `activation.activate` raises."""
        await activation.activate(self._connection, self._name, self._last_events, self._lost)

    async def _last_events(self, active: str) -> None:
        await self.read(active)
        prefix = self._settings.topic_prefix
        await dead_letters.take_over(self._connection, active, self._name, prefix)

    async def _ahead(self) -> int:
        return await activation.events_ahead(self._connection, self._name, await self._active())

    async def _behind(self) -> int:
        ends = await self._ends(await self._active())
        own = await positions(self._connection, self._name)
        return sum(max(0, at - own.get(partition, 0)) for partition, at in ends.items())

    async def _ends(self, active: str) -> dict[Partition, int]:
        """Where it is to come to; what is lost cannot be read, and workers read what is new."""
        found = await positions(self._connection, active)
        return {partition: at for partition, at in found.items() if partition not in self._lost}

    async def _active(self) -> str:
        return str(await self._connection.fetchval(ACTIVE))


@asynccontextmanager
async def catching_up(
    connection: asyncpg.Connection, settings: ProjectorSettings, name: str, *, allow_gap: bool
) -> AsyncIterator[CatchUp]:
    """A generation that catches up. Raises `OperationError` when database or broker fail."""
    async with (
        building(settings, name) as builder,
        reading(settings, builder, allow_gap=allow_gap) as reader,
    ):
        lost = await _lost(connection, settings) if allow_gap else ()
        yield CatchUp(connection, settings, name, reader, lost)


async def _lost(connection: asyncpg.Connection, settings: ProjectorSettings) -> set[Partition]:
    """The partitions that no longer hold what the active generation has read of them."""
    # the positions first: events that come in between are not to look like lost ones
    reached = await positions(connection, await connection.fetchval(ACTIVE))
    return {partition for partition, _ in too_short(await spans(settings), reached)}
