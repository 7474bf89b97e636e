"""A worker that is put to sleep within a COPY, which no timeout of the database ends."""

import asyncio
from typing import Any

import asyncpg
import pytest

from projector.errors import PositionConflict
from projector.writing import transaction
from tests.applying import workers
from tests.records import FakeRecord, record
from tests.unit.event_samples import least


def steps(count: int) -> list[FakeRecord]:
    return [record("step-journal", n, least("step-journal", step_id=f"s{n}")) for n in range(count)]


async def test_who_sleeps_within_a_copy_holds_nobody_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what the sleeper would park must not be there either when the other parks it
    given = [*steps(transaction.MANY), record("step-journal", transaction.MANY, b"no event")]
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
        for worker in (sleeper, other):
            await worker.own(given)
        sleeping = asyncio.create_task(sleeper.poll(given))
        try:
            async with asyncio.timeout(20):
                await asleep.wait()
                await other.poll(given)
        finally:
            may_wake.set()
        with pytest.raises(PositionConflict):
            await sleeping
