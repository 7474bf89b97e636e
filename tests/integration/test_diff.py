"""Two generations compared: each row that differs, what it is about, and the fields."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from contracts.read_model import metadata
from projector.generations import schema
from projector.generations.diff import MOST_NAMED, Diff, diff
from tests.api_rows import of_history, project
from tests.applying import viewing
from tests.histories import history


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database with two generations that say the same."""
    await project(database_url, of_history(history(5, size=400)))
    async with viewing(database_url) as opened:
        for statement in schema.creation("other", complete=True):
            await opened.execute(statement)
        for table in metadata.tables:
            await opened.execute(f"INSERT INTO g_other.{table} SELECT * FROM g_main.{table}")
        yield opened


async def found(connection: asyncpg.Connection) -> Diff:
    async with connection.transaction(isolation="repeatable_read"):
        return await diff(connection, "main", "other")


async def named(connection: asyncpg.Connection) -> list[str]:
    return [str(each) for each in (await found(connection)).named]


async def one(connection: asyncpg.Connection, table: str, key: str, where: str = "true") -> str:
    """The first row of a table, by its key."""
    first = f"SELECT {key} FROM g_other.{table} WHERE {where} ORDER BY {key} LIMIT 1"
    return str(await connection.fetchval(first))


async def test_runs_and_fields_are_named(connection: asyncpg.Connection) -> None:
    assert await named(connection) == []
    run = await one(connection, "run", "run_id")
    await connection.execute(
        "UPDATE g_other.run SET state = 'odd', incidents = array_append(incidents, 'another'),"
        ' summary = (summary::jsonb || \'{"odd": {"a": 1}}\')::json WHERE run_id = $1',
        run,
    )
    gone = await one(connection, "item", "entity")
    of_run = await one(connection, "item", "run_id", f"entity = '{gone}'")
    await connection.execute("DELETE FROM g_other.item WHERE entity = $1", gone)
    assert await named(connection) == [
        f"run {run}: run {run} differs in incidents, state, summary.odd",
        f"run {of_run}: item {gone} is only in main",
    ]


async def test_evidence_of_no_incident_and_no_project_is_of_no_run(
    connection: asyncpg.Connection,
) -> None:
    entity = await one(connection, "evidence", "entity")
    for views in ("g_main", "g_other"):
        nobodys = f"UPDATE {views}.evidence SET incident_id = NULL, project_id = NULL"
        await connection.execute(f"{nobodys} WHERE entity = $1", entity)
    await connection.execute("UPDATE g_other.evidence SET id = 'x' WHERE entity = $1", entity)
    assert await named(connection) == [f"no run: evidence {entity} differs in id"]


async def test_what_differs_is_named_however_little_it_is(connection: asyncpg.Connection) -> None:
    run = await one(connection, "run", "run_id")
    for before, after, field in (
        ('{"a": {"b": null}}', '{"a": {}}', "summary.a.b"),
        ('{"a": {}}', '{"a": {"b": null}}', "summary.a.b"),
        ('{"a": 1}', '{"a": true}', "summary.a"),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "summary"),
        ('{"a": 1}', '{"a": 1.0}', "summary.a"),
        ('{"a": 1.0}', '{"a": 1.00}', "summary"),
    ):
        for views, summary in (("g_main", before), ("g_other", after)):
            statement = f"UPDATE {views}.run SET summary = $1 WHERE run_id = $2"
            await connection.execute(statement, summary, run)
        assert await named(connection) == [f"run {run}: run {run} differs in {field}"]


async def test_all_is_counted_and_the_first_of_it_named(connection: asyncpg.Connection) -> None:
    many = 3 * MOST_NAMED
    await connection.execute(
        "INSERT INTO g_other.run_incident (incident, created_at, run_id, project_id, state, status)"
        " SELECT 'odd ' || n, created_at, run_id, project_id, state, status"
        f" FROM (SELECT * FROM g_other.run LIMIT 1) AS run, generate_series(1, {many}) AS n"
    )
    differing = await found(connection)
    assert (differing.totals, differing.total) == ({"run_incident": many}, many)
    assert len(differing.named) == MOST_NAMED
