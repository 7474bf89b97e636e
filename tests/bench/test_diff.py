"""Two generations of 100,000 runs compared."""

import time

import asyncpg
import pytest

from contracts.read_model import metadata
from projector.database import connected
from projector.generations import schema
from projector.generations.diff import diff
from tests.api_rows import of_history, project
from tests.bench.backlog import Fresh
from tests.bench.figures import Figures
from tests.histories import history

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

RUNS = 100_000
KEYS = {"run_id", "entity", "event_uuid"}
MULTIPLIED = ("run_fact", "run", "run_state", "item", "inbound", "evidence")


async def test_diff(figures: Figures, fresh: Fresh) -> None:
    async with fresh() as database_url:
        await project(database_url, of_history(history(5, size=600)))
        async with connected(database_url) as connection:
            await _prepare(connection)
            began = time.monotonic()
            async with connection.transaction(isolation="repeatable_read"):
                found = await diff(connection, "main", "other")
            seconds = time.monotonic() - began
    assert found.totals == {"run": 3}
    assert {each.fields for each in found.named} == {("state",)}
    assert seconds < 60
    figures.add(f"diff of two generations of {RUNS:,} runs", seconds, "s")


async def _prepare(connection: asyncpg.Connection) -> None:
    """Have the history many times over, with other ids each time, in two generations."""
    await connection.execute("SET search_path = g_main")
    runs = await connection.fetchval("SELECT count(*) FROM run")
    for name in MULTIPLIED:
        columns = ", ".join(
            f"md5({column.name}::text || copy)::uuid" if column.name in KEYS else column.name
            for column in metadata.tables[name].columns
        )
        copies = f"generate_series(2, {-(-RUNS // runs)}) AS copy"
        await connection.execute(f"INSERT INTO {name} SELECT {columns} FROM {name}, {copies}")
    for statement in schema.creation("other", complete=True):
        await connection.execute(statement)
    for table in metadata.tables:
        await connection.execute(f"INSERT INTO g_other.{table} SELECT * FROM g_main.{table}")
        await connection.execute(f"ANALYZE g_main.{table}, g_other.{table}")
    await connection.execute(
        "UPDATE g_other.run SET state = 'odd'"
        " WHERE run_id IN (SELECT run_id FROM g_other.run ORDER BY run_id LIMIT 3)"
    )
