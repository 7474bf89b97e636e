"""Compute stored runs again from stored facts: the check that the law holds in production."""

from typing import Final

import orjson

from contracts.incidents import incident_key
from projector.dependencies import Connection
from projector.rebuild.diff import paths
from projector.recompute import recompute
from projector.touched import Touched

STORED: Final = """
    SELECT run.run_id::text, to_jsonb(run) || jsonb_build_object('links', (
        SELECT coalesce(jsonb_agg(to_jsonb(link) ORDER BY link.incident), '[]')
        FROM run_incident AS link
        WHERE link.run_id = run.run_id
    )) AS row
    FROM run
    WHERE run.run_id = ANY ($1)
"""

OF_INCIDENT: Final = "SELECT run_id::text FROM run_incident WHERE incident = $1"
"""Runs linked to an incident; a run that lost its link is found by its own id."""


async def repair_run(connection: Connection, run_id: str) -> dict[str, list[str]]:
    """Compute one run again; return the fields that changed, by run: nothing, normally."""
    return await _repair(connection, Touched(runs={run_id}), {run_id})


async def repair_incident(connection: Connection, incident_id: str) -> dict[str, list[str]]:
    """Compute all runs that mention an incident again; return what changed, by run."""
    rows = await connection.fetch(OF_INCIDENT, incident_key(incident_id))
    runs = {row["run_id"] for row in rows}
    return await _repair(connection, Touched(runs=runs, incidents={incident_id}), runs)


async def _repair(connection: Connection, touched: Touched, runs: set[str]) -> dict[str, list[str]]:
    async with connection.transaction():
        before = await _stored(connection, runs)
        await recompute(connection, touched, slot=0)
        after = await _stored(connection, runs)
    changed = {run: [*paths(before.get(run), after.get(run))] for run in sorted(runs)}
    return {
        run: [field or "the whole row" for field in fields]
        for run, fields in changed.items()
        if fields
    }


async def _stored(connection: Connection, runs: set[str]) -> dict[str, object]:
    rows = await connection.fetch(STORED, [*runs])
    return {row["run_id"]: orjson.loads(row["row"]) for row in rows}
