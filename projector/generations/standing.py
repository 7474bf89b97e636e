"""Where a generation stands that is not written by workers alone, and who may write it here."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from contracts.errors import OperationError
from contracts.health import Outage
from projector.database import CONNECT_SECONDS, faults_named
from projector.dependencies import Connection, Dependencies
from projector.generations.activation import Bond, Target, enter
from projector.settings import ProjectorSettings
from projector.writing import positions, transaction
from projector.writing.applying import Applier, Write
from projector.writing.batch import Batch, Partition


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


class Standing:
    """An applier to one generation, and the positions it goes by."""

    def __init__(self, pool: asyncpg.Pool, target: Target, applier: Applier) -> None:
        self.applier = applier
        self._pool = pool
        self._target = target

    async def begin(self, first: Mapping[Partition, int]) -> None:
        """Go on with these partitions where they stand; those without a position begin here."""
        async with self._entered() as connection:
            await positions.begin(connection, first)
            self.applier.positions |= await positions.read(connection, first)

    async def again(self, partitions: Iterable[Partition]) -> None:
        """Read the positions of these partitions again: somebody else has moved them."""
        async with self._entered() as connection:
            self.applier.positions |= await positions.read(connection, partitions)

    async def skip(self, partition: Partition, to: int) -> None:
        """Move over offsets that the broker does not have, and count them as a gap."""
        async with self._entered() as connection:
            at = self.applier.positions[partition]
            await positions.skip_gap(connection, partition, at, to)
            self.applier.positions |= await positions.read(connection, [partition])

    @asynccontextmanager
    async def _entered(self) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            await enter(connection, self._target)
            yield connection


@asynccontextmanager
async def standing(
    settings: ProjectorSettings,
    generation: str,
    *,
    write: Write = transaction.write,
    until: datetime | None = None,
    durably: bool = True,
) -> AsyncIterator[Standing]:
    """An applier to this generation, which no worker needs to know of.

    What is not written `durably` may be lost when the server crashes, the positions with it.
    Raises `OperationError` for what the database refuses.
    """
    target = Target(generation, Bond.MAKES)
    # The owner, not the writer role: rows cannot be copied under row-level security.
    pool = asyncpg.create_pool(
        settings.database_url,
        min_size=1,
        max_size=1,
        timeout=CONNECT_SECONDS,
        init=transaction.prepare,
        reset=transaction.keep,
        server_settings={
            "application_name": "runfold rebuild",
            **transaction.SESSION,
            "synchronous_commit": "on" if durably else "off",
        },
    )
    with faults_named(settings.database_url):
        async with pool:
            applier = Applier(
                Impatient(pool, asyncio.Event()),
                target,
                settings.topic_prefix,
                0,
                _Unobserved(),
                write=write,
                until=until,
            )
            yield Standing(pool, target, applier)
