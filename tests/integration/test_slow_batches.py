"""Batches that take longer than PostgreSQL lets a transaction last, and one whose worker sleeps."""

import asyncio
from typing import Any

import asyncpg
import pytest

from projector import worker
from projector.dependencies import Connection, Dependencies
from projector.errors import PositionConflict
from projector.generations.activation import Target
from projector.worker import writer_pool
from projector.writing import faults, transaction
from projector.writing.applying import Applier
from projector.writing.batch import Batch, Partition
from tests.applying import MAIN, workers
from tests.records import PREFIX, FakeRecord, record
from tests.unit.event_samples import least

pytestmark = pytest.mark.crash

HERE = Partition(f"{PREFIX}project", 0)


def records(count: int) -> list[FakeRecord]:
    return [record("project", n, least("project", project_id=f"p{n}")) for n in range(count)]


class Slow:
    """Writes as a worker does, each record taking its time within the transaction."""

    def __init__(self, each_s: float, *, silently: bool) -> None:
        self.sizes: list[int] = []
        self._each_s, self._silently = each_s, silently

    async def __call__(
        self, connection: Connection, batch: Batch, target: Target, slot: int
    ) -> None:
        size = len(batch.rows["project"])
        self.sizes.append(size)
        async with connection.transaction():
            await connection.execute("SELECT 1")
            if self._silently:
                await asyncio.sleep(size * self._each_s)
            else:
                await connection.execute("SELECT pg_sleep($1)", size * self._each_s)
            await transaction.write(connection, batch, target, slot)


@pytest.mark.parametrize("limited", ["LONGEST_TRANSACTION", "LONGEST_SILENCE"])
@pytest.mark.parametrize(
    ("each_s", "sizes"), [(0.3, [4, 2, 2]), (1.2, [2, 1, 1, 1, 1])], ids=["a batch", "one record"]
)
async def test_what_takes_too_long_is_done_in_smaller_parts(
    database_url: str, monkeypatch: pytest.MonkeyPatch, limited: str, each_s: float, sizes: Any
) -> None:
    """Of one record, which has no parts, the second attempt may take as long as it does."""
    given, silently = records(sizes[0]), limited == "LONGEST_SILENCE"
    async with workers(database_url, 1) as (live,):
        await live.own(given)
    monkeypatch.setattr(worker, limited, "1s")
    if silently:
        monkeypatch.setattr(faults, "SILENCE_S", 1.0)
    slow = Slow(each_s, silently=silently)
    async with writer_pool(database_url, 1) as pool:
        applier = Applier(Dependencies(pool, asyncio.Event()), MAIN, PREFIX, 0, write=slow)
        applier.positions = {HERE: 0}
        async with asyncio.timeout(60):
            await applier.apply([given])
        assert await pool.fetchval("SELECT count(*) FROM g_main.project") == sizes[0]
        assert await pool.fetchval("SELECT count(*) FROM runfold.dead_letter") == 0
        assert await pool.fetchval("SHOW transaction_timeout") != "1h"
    assert slow.sizes == sizes


async def test_who_sleeps_within_a_copy_holds_nobody_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timeout of the database ends it."""
    steps = [least("step-journal", step_id=f"s{n}") for n in range(transaction.MANY)]
    given = [record("step-journal", at, step) for at, step in enumerate(steps)]
    copy = asyncpg.Connection.copy_records_to_table
    asleep, may_wake = asyncio.Event(), asyncio.Event()

    async def sleep(
        connection: asyncpg.Connection, *arguments: Any, records: Any, **how: Any
    ) -> Any:
        if asleep.is_set():
            return await copy(connection, *arguments, records=records, **how)

        async def slowly() -> Any:
            for index, row in enumerate(records):
                if index == 1:
                    asleep.set()
                    await may_wake.wait()
                yield row

        return await copy(connection, *arguments, records=slowly(), **how)

    monkeypatch.setattr(asyncpg.Connection, "copy_records_to_table", sleep)
    async with workers(database_url, 2) as (sleeper, other):
        for each in (sleeper, other):
            await each.own(given)
        sleeping = asyncio.create_task(sleeper.poll(given))
        try:
            async with asyncio.timeout(20):
                await asleep.wait()
                await other.poll(given)
        finally:
            may_wake.set()
        with pytest.raises(PositionConflict):
            await sleeping
