"""Bring a generation to where the active one is, and swap them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from contracts.errors import OperationError
from projector.database import connected
from projector.generations import activation, record, schema
from projector.generations.activation import ACTIVE
from projector.generations.letters import carry_over
from projector.generations.pace import Pace
from projector.generations.plan import check_topics, spans, too_short
from projector.generations.reader import Reader, reading
from projector.generations.schema import schema_of
from projector.generations.standing import standing
from projector.settings import ProjectorSettings
from projector.writing.batch import Partition

CLOSE_ENOUGH: Final = 100
"""Events behind the active generation at which workers are made to wait for the rest."""
MOST_BEHIND: Final = 5_000
"""Events for which workers are made to wait at most, where no more is to be gained before."""
ATTEMPTS: Final = 3
"""How often it may be read on without coming nearer."""

LEVEL_SECONDS: Final = 60.0
"""How long the active generation may come no nearer to what another one has already."""
LOOK_SECONDS: Final = 0.2

POSITIONS: Final = """
    SELECT topic, partition, next_offset FROM {schema}.position WHERE partition >= 0
"""


class FarBehind(OperationError):
    """A generation does not come near the active one."""

    def __init__(self, name: str, events: int) -> None:
        super().__init__(
            f"generation {name!r} is {events} events behind the active one and comes no nearer,"
            " and workers are not made to wait for that many: `runfold generations activate"
            f" {name}` reads them without --max-rate, best when fewer events come"
        )


class ActiveBehind(OperationError):
    """The active generation lacks events that a new one has, and does not come nearer."""

    def __init__(self, name: str, events: int) -> None:
        super().__init__(
            f"the active generation is {events} events behind {name!r} and comes no nearer: they"
            " cannot be compared. See `runfold status` for its workers, then go on with"
            f" `runfold rebuild --name {name} --resume`"
        )


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

    async def near(self, pace: Pace) -> None:
        """Read until it is not far behind. Raises `FarBehind` when it does not come near enough."""
        behind = least = await self._behind()
        left = ATTEMPTS
        while behind > CLOSE_ENOUGH and left:
            await self.read(await self._connection.fetchval(ACTIVE), pace)
            behind = await self._behind()
            left = ATTEMPTS if behind < least else left - 1
            least = min(least, behind)
        if behind > MOST_BEHIND:
            raise FarBehind(self._name, behind)

    async def level(self) -> None:
        """Wait until the active one has all that this one has. Raises `ActiveBehind`."""
        clock = asyncio.get_running_loop().time
        least, since = await self._ahead(), clock()
        while ahead := await self._ahead():
            if ahead < least:
                least, since = ahead, clock()
            elif clock() - since > LEVEL_SECONDS:
                raise ActiveBehind(self._name, ahead)
            await asyncio.sleep(LOOK_SECONDS)

    async def read(self, active: str, pace: Pace | None = None) -> None:
        """Read to where the active generation stands."""
        ends = await self._ends(active)
        check_topics(self._settings, ends)
        await self._reader.up_to(ends, pace or Pace())

    async def swap(self) -> None:
        """Make it the active one. Raises what `activation.activate` raises."""
        await activation.activate(self._connection, self._name, self._last_events, self._lost)

    async def _last_events(self, active: str) -> None:
        await self.read(active)
        await carry_over(self._connection, active, self._name, self._settings.topic_prefix)

    async def _ahead(self) -> int:
        active = await self._connection.fetchval(ACTIVE)
        return await activation.events_ahead(self._connection, self._name, active)

    async def _behind(self) -> int:
        ends = await self._ends(await self._connection.fetchval(ACTIVE))
        own = await positions(self._connection, self._name)
        return sum(max(0, at - own.get(partition, 0)) for partition, at in ends.items())

    async def _ends(self, active: str) -> dict[Partition, int]:
        """Where it is to come to; what is lost cannot be read, and workers read what is new."""
        found = await positions(self._connection, active)
        return {partition: at for partition, at in found.items() if partition not in self._lost}


@asynccontextmanager
async def catching_up(
    connection: asyncpg.Connection, settings: ProjectorSettings, name: str, *, allow_gap: bool
) -> AsyncIterator[CatchUp]:
    """Somebody who brings this generation on. Raises `OperationError` for what fails."""
    async with (
        standing(settings, name) as here,
        reading(settings, here, allow_gap=allow_gap) as reader,
    ):
        await here.begin(await positions(connection, name))
        lost = await _lost(connection, settings) if allow_gap else ()
        yield CatchUp(connection, settings, name, reader, lost)


async def _lost(connection: asyncpg.Connection, settings: ProjectorSettings) -> set[Partition]:
    """The partitions that no longer hold what the active generation has read of them."""
    # the positions first: events that come in between are not to look like lost ones
    reached = await positions(connection, await connection.fetchval(ACTIVE))
    return {partition for partition, _ in too_short(await spans(settings), reached)}


async def activate(settings: ProjectorSettings, name: str) -> bool:
    """Make a generation active that stands by, once it is where the active one is.

    What its rebuild was allowed to do without, the swap does without, too. Returns whether it
    was not active before. Raises `RebuildRunning`, `FarBehind`, `HistoryIncomplete` when the
    broker has dropped what it lacks, and what `activation.activate` raises.
    """
    async with connected(settings.database_url) as connection:
        await record.lock(connection, name)
        await schema.resolve_current(connection, name)
        if await connection.fetchval(ACTIVE) == name:
            return False
        begun = await record.begun(connection, name)  # the first generation was not rebuilt
        allow_gap = begun is not None and begun.options.allow_gap
        async with catching_up(connection, settings, name, allow_gap=allow_gap) as catch_up:
            await catch_up.near(Pace())
            await catch_up.swap()
        # whatever had ended its rebuild before, nothing of it is left to do
        await record.enter_phase(connection, name, "ready")
        return True


async def positions(connection: asyncpg.Connection, name: str) -> dict[Partition, int]:
    """Return where the partitions of a generation stand."""
    rows = await connection.fetch(POSITIONS.format(schema=schema_of(name)))
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
