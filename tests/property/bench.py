"""Where histories are applied to a real database and judged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from contracts.read_model import metadata
from projector.operations.audit import audit
from tests.api_rows import Client, serving
from tests.applying import Worker, workers
from tests.histories import Delivery, Poll, deliveries, schedule
from tests.property.answers import differences
from tests.records import PREFIX, FakeRecord
from tests.reference import Platform, Record, load

MOST_WORKERS = 3

TABLES = [*(f"g_main.{table}" for table in metadata.tables), "runfold.dead_letter"]
# A truncated table is a new file for it and for each of its indexes: that costs more than the rows.
EMPTY = "; ".join(f"DELETE FROM {table}" for table in TABLES)


class Bench:
    """Workers on one database, someone to ask about it, and a way to start anew."""

    def __init__(self, owner: asyncpg.Connection, crew: list[Worker], client: Client) -> None:
        self._owner = owner
        self._crew = crew
        self._client = client

    async def check(self, records: list[Record], seed: int, count: int) -> None:
        """Apply a history by `count` workers at once; the views must be the model's."""
        await self._owner.execute(EMPTY)
        polls = schedule(records, seed, count)
        await asyncio.gather(*(map(apply, self._crew, polls)))
        delivered = [each.record for each in deliveries(polls)]
        platform = load(delivered)
        found = await differences(self._client, platform)
        found += await self._parked(platform)
        found += (await audit(self._owner)).faults
        assert not found, f"seed {seed}, {count} workers:\n" + "\n".join(found[:20])

    async def _parked(self, platform: Platform) -> list[str]:
        rows = await self._owner.fetch("SELECT topic, reason FROM runfold.dead_letter")
        parked = sorted((row["topic"].removeprefix(PREFIX), row["reason"]) for row in rows)
        due = sorted((each.record.topic, each.reason) for each in platform.dead)
        return [] if parked == due else [f"dead letters: {parked} should be {due}"]


async def apply(worker: Worker, polls: list[Poll]) -> None:
    taken = [[as_record(each) for each in poll] for poll in polls]
    await worker.own([record for poll in taken for record in poll])
    for poll in taken:
        await worker.poll(poll)


def as_record(delivery: Delivery) -> FakeRecord:
    record = delivery.record
    key = None if record.key is None else record.key.encode()
    return FakeRecord(
        PREFIX + delivery.topic, delivery.partition, delivery.offset, key, record.value
    )


@asynccontextmanager
async def open_bench(database_url: str) -> AsyncIterator[Bench]:
    """A bench over one database, for any number of histories."""
    owner = await asyncpg.connect(database_url)
    try:
        async with workers(database_url, MOST_WORKERS) as crew, serving(database_url) as client:
            yield Bench(owner, crew, client)
    finally:
        await owner.close()
