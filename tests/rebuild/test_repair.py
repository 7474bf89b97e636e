"""Rows that say what the facts do not are computed again; what is right stays as it is."""

from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from projector.generations.repair import repair_incident, repair_run
from projector.operations.audit import audit
from tests.api_rows import of_history, project
from tests.histories import history

EVERY_ROW = """
    SELECT jsonb_build_array(
        (SELECT jsonb_agg(to_jsonb(run) ORDER BY run_id) FROM run),
        (SELECT jsonb_agg(to_jsonb(link) ORDER BY incident, run_id) FROM run_incident AS link)
    )::text
"""
LINKED = "SELECT run_id::text, incident FROM run_incident ORDER BY run_id, incident LIMIT 1"
NO_RUN = "00000000-0000-0000-0000-000000000000"

DAMAGES = {
    "state": "UPDATE run SET state = 'odd' WHERE run_id = $1",
    "status": "UPDATE run SET status = 'odd', summary = '{\"status\":\"odd\"}' WHERE run_id = $1",
    "project": "UPDATE run SET project_id = 'nobody' WHERE run_id = $1",
    "time": "UPDATE run SET created_at = created_at - interval '400 days' WHERE run_id = $1",
    "incidents": "UPDATE run SET incidents = '{INC-20000101-ABCD}' WHERE run_id = $1",
    "listing": "UPDATE run SET listing = '{}' WHERE run_id = $1",
    "row gone": "DELETE FROM run WHERE run_id = $1",
    "links gone": "DELETE FROM run_incident WHERE run_id = $1",
    "row and links gone": "WITH gone AS (DELETE FROM run_incident WHERE run_id = $1)"
    " DELETE FROM run WHERE run_id = $1",
    "link of another state": "UPDATE run_incident SET state = 'none' WHERE run_id = $1",
    "stray link": "INSERT INTO run_incident SELECT 'INC-20000101-ABCD', run_id, project_id, state,"
    " status, created_at FROM run WHERE run_id = $1",
    "run counters": "UPDATE run_counter SET total = total + 3 WHERE project_id ="
    " (SELECT project_id FROM run WHERE run_id = $1) AND level = 0",
    "incident counters": "DELETE FROM incident_counter WHERE incident IN"
    " (SELECT incident FROM run_incident WHERE run_id = $1)",
}


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    await project(database_url, of_history(history(41, size=300)))
    search = {"search_path": "g_main", "TimeZone": "UTC"}
    opened = await asyncpg.connect(database_url, server_settings=search)
    yield opened
    await opened.close()


async def counted(connection: asyncpg.Connection) -> Counter[object]:
    """The counters' totals, over all slots."""
    found: Counter[object] = Counter()
    for *key, _slot, total in await connection.fetch(
        "SELECT level, bucket, project_id, state, status, slot, total FROM run_counter"
    ):
        found[tuple(key)] += total
    return +found


async def test_what_is_right_stays_as_it_is(connection: asyncpg.Connection) -> None:
    before, totals = await connection.fetchval(EVERY_ROW), await counted(connection)
    for row in await connection.fetch("SELECT run_id::text FROM run"):
        repaired = await repair_run(connection, row["run_id"])
        assert (repaired.runs, repaired.changes) == (1, ())
    for row in await connection.fetch("SELECT DISTINCT incident FROM run_incident"):
        assert (await repair_incident(connection, row["incident"])).changes == ()
    assert await connection.fetchval(EVERY_ROW) == before
    assert await counted(connection) == totals
    assert (await audit(connection)).faults == ()
    with pytest.raises(match=NO_RUN):
        await repair_run(connection, NO_RUN)
    assert (await repair_incident(connection, "INC-19000101-NONE")).runs == 0


async def test_a_damaged_run_is_repaired_and_said(connection: asyncpg.Connection) -> None:
    before = await connection.fetchval(EVERY_ROW)
    run = await connection.fetchval(LINKED)
    for damage, statement in DAMAGES.items():
        await connection.execute(statement, run)
        assert (await audit(connection)).faults or damage == "listing", damage
        repaired = await repair_run(connection, run)
        assert repaired.changes, damage
        assert damage != "state" or repaired.changes == (f"run {run}: state",)
        assert await connection.fetchval(EVERY_ROW) == before, damage
        assert (await audit(connection)).faults == (), damage
        assert (await repair_run(connection, run)).changes == (), damage


async def test_all_runs_of_an_incident_are_repaired(connection: asyncpg.Connection) -> None:
    before = await connection.fetchval(EVERY_ROW)
    incident = await connection.fetchval(
        "SELECT incident FROM run_incident GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    )
    runs = await connection.fetch("SELECT run_id FROM run_incident WHERE incident = $1", incident)
    assert len(runs) > 1
    for damage in ("status", "row and links gone", "links gone", "incidents"):
        for row in runs:
            await connection.execute(DAMAGES[damage], row["run_id"])
        repaired = await repair_incident(connection, incident)
        assert repaired.runs >= len(runs), damage
        assert repaired.changes, damage
        assert await connection.fetchval(EVERY_ROW) == before, damage
        assert (await audit(connection)).faults == (), damage
