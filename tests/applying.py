"""Apply records to a real database as a worker does, without a broker."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from projector.dependencies import Dependencies
from projector.generations.activation import Target, enter
from projector.worker import writer_pool
from projector.writing import positions
from projector.writing.applying import Applier, slices
from projector.writing.batch import Partition, Record
from tests.records import PREFIX

SLICE_BYTES = 8 * 1_048_576
MAIN = Target("main")


class Worker:
    """A worker's database side: polls go in, one after the other."""

    def __init__(self, pool: asyncpg.Pool, slot: int) -> None:
        self._pool = pool
        dependencies = Dependencies(pool, asyncio.Event())
        self._applier = Applier(dependencies, MAIN, PREFIX, slot)

    async def own(self, records: Iterable[Record]) -> None:
        """Take over the partitions these records lie in, where they stand."""
        wanted = {Partition(each.topic, each.partition): 0 for each in records}
        if not wanted:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await enter(connection, MAIN)
            await positions.begin(connection, wanted)
            self._applier.positions |= await positions.read(connection, wanted)

    async def poll(self, records: Sequence[Record]) -> None:
        await self._applier.apply(slices(records, SLICE_BYTES))


@asynccontextmanager
async def viewing(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the database's owner, who sees the views."""
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    try:
        yield connection
    finally:
        await connection.close()


async def fetch(database_url: str, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """What the owner of a database gets for a statement."""
    async with viewing(database_url) as owner:
        return list(await owner.fetch(statement, *arguments))


@asynccontextmanager
async def workers(database_url: str, count: int) -> AsyncIterator[list[Worker]]:
    """Workers on one database, each with a connection and a counter slot of its own."""
    async with writer_pool(database_url, connections=count) as pool:
        yield [Worker(pool, slot) for slot in range(count)]
