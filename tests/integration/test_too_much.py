"""Batches that take longer than PostgreSQL lets a transaction last: it ends the connection."""

import asyncio

import pytest

from projector import worker
from projector.dependencies import Connection, Dependencies
from projector.generations.activation import Target
from projector.worker import writer_pool
from projector.writing import faults, transaction
from projector.writing.applying import Applier
from projector.writing.batch import Batch, Partition
from tests.applying import MAIN, Committed, workers
from tests.records import PREFIX, FakeRecord, record
from tests.unit.event_samples import least

HERE = Partition(f"{PREFIX}project", 0)
LIMIT_S = 2.0
LIMIT = f"{LIMIT_S:g}s"


def records(count: int) -> list[FakeRecord]:
    return [record("project", n, least("project", project_id=f"p{n}")) for n in range(count)]


class Slow:
    """Writes as a worker does, each record taking its time within the transaction."""

    def __init__(self, each_s: float, *, silently: bool) -> None:
        self.sizes: list[int] = []
        self._each_s = each_s
        self._silently = silently

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


@pytest.mark.parametrize(
    ("limited", "silently"), [("LONGEST_TRANSACTION", False), ("LONGEST_SILENCE", True)]
)
@pytest.mark.parametrize(
    ("each_s", "sizes"),
    [
        pytest.param(0.6, [4, 2, 2], id="a batch"),
        pytest.param(2.4, [2, 1, 1, 1, 1], id="one record"),
    ],
)
async def test_what_takes_too_long_is_done_in_smaller_parts(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    limited: str,
    each_s: float,
    sizes: list[int],
    *,
    silently: bool,
) -> None:
    """Of one record, which has no parts, the second attempt may take as long as it does."""
    given = records(sizes[0])
    async with workers(database_url, 1) as (live,):
        await live.own(given)
    monkeypatch.setattr(worker, limited, LIMIT)
    if silently:
        monkeypatch.setattr(faults, "SILENCE_S", LIMIT_S)
    slow = Slow(each_s, silently=silently)
    async with writer_pool(database_url, 1) as pool:
        applier = Applier(
            Dependencies(pool, asyncio.Event()), MAIN, PREFIX, 0, Committed(), write=slow
        )
        applier.positions = {HERE: 0}
        async with asyncio.timeout(60):
            await applier.apply(given)
        assert await pool.fetchval("SELECT count(*) FROM g_main.project") == sizes[0]
        assert await pool.fetchval("SELECT count(*) FROM g_main.dead_letter") == 0
        assert await pool.fetchval("SHOW transaction_timeout") != "1h"
    assert slow.sizes == sizes
