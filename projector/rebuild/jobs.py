"""What the processes of a rebuild do."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from contracts.errors import OperationError
from projector import positions, writer
from projector.activation import Target, enter
from projector.applying import Applier, Write
from projector.batch import Batch, Partition
from projector.dependencies import Dependencies
from projector.generations import schema_of
from projector.outage import Outage
from projector.rebuild import bulk, derive
from projector.rebuild.load import Pace, load_file, reading
from projector.rebuild.plan import Span, file_partitions
from projector.settings import ProjectorSettings


@dataclass(frozen=True, slots=True)
class Impatient(Dependencies):
    """A rebuild waits for a database that is away, but not for room on its disk."""

    async def wait_for(self, away: Outage, error: Exception) -> None:
        """Wait as a worker does. Raises `OperationError` when the server is out of something."""
        if isinstance(error, asyncpg.InsufficientResourcesError):
            raise OperationError(f"the database cannot hold the new generation: {error}") from error
        await Dependencies.wait_for(self, away, error)


class _Unobserved:
    def committed(self, batch: Batch) -> None:
        """Progress is read from the positions."""


@asynccontextmanager
async def applying(
    settings: ProjectorSettings,
    generation: str,
    first: Mapping[Partition, int],
    *,
    write: Write = writer.write,
    until: datetime | None = None,
    slot: int = 0,
) -> AsyncIterator[Applier]:
    """An applier of these partitions, which begin at `first`, standing where they stand."""
    target = Target(generation, follows=False)
    # The owner, not the writer role: rows cannot be copied under row-level security.
    pool = asyncpg.create_pool(
        settings.database_url,
        min_size=1,
        max_size=1,
        server_settings={"application_name": "runfold rebuild", "TimeZone": "UTC", "jit": "off"},
    )
    async with pool:
        applier = Applier(
            Impatient(pool, asyncio.Event()),
            target,
            settings.topic_prefix,
            slot,
            _Unobserved(),
            write=write,
            until=until,
        )
        async with pool.acquire() as connection, connection.transaction():
            await enter(connection, target)
            await positions.begin(connection, first)
            applier.positions = await positions.read(connection, first)
        yield applier


@dataclass(frozen=True, slots=True)
class Loading:
    """What all loaders of a rebuild have in common."""

    settings: ProjectorSettings
    generation: str
    until: datetime | None
    rate: float | None
    """Most events per second of one loader."""

    def applier(self, first: Mapping[Partition, int]) -> AbstractAsyncContextManager[Applier]:
        """An applier that copies."""
        return applying(self.settings, self.generation, first, write=bulk.write, until=self.until)


async def load_topics(loading: Loading, share: Mapping[Partition, Span]) -> None:
    """Copy partitions from their first offsets up to their ends."""
    async with (
        loading.applier({partition: span.first for partition, span in share.items()}) as applier,
        reading(loading.settings, applier, Pace(loading.rate)) as reader,
    ):
        await reader.up_to({partition: span.end for partition, span in share.items()})


async def load_files(loading: Loading, files: Sequence[Path]) -> None:
    """Copy files, one after the other."""
    prefix = loading.settings.topic_prefix
    async with loading.applier(file_partitions(prefix, files)) as applier:
        pace = Pace(loading.rate)
        for index, path in enumerate(files):
            await load_file(prefix, applier, index, path, pace)


async def derive_runs(settings: ProjectorSettings, generation: str, slot: int, slots: int) -> None:
    """Compute the runs of one of `slots` equal ranges of ids."""
    connection = await asyncpg.connect(
        settings.database_url,
        server_settings={
            "application_name": "runfold rebuild",
            "search_path": schema_of(generation),
            "TimeZone": "UTC",
            "jit": "off",
        },
    )
    try:
        after, last = derive.id_range(slot, slots)
        await derive.derive_runs(connection, after, last, slot)
    finally:
        await connection.close()
