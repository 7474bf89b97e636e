"""The run list and its links: read and written for many runs at a time."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final, NamedTuple

from contracts.incidents import incident_key
from contracts.read_model import run_incident
from projector.dependencies import Connection
from projector.projections.rows import Rank
from projector.writing.upsert import columns, given, replaced


class RunView(NamedTuple):
    """What filters, links and counters know of a run."""

    project_id: str
    state: str
    status: str
    """Its remediation status; empty until it is computed."""
    created_at: datetime
    incidents: list[str]


RUNS_OF_INCIDENTS: Final = "SELECT DISTINCT run_id FROM run_incident WHERE incident = ANY($1)"

LOCK_RUNS: Final = f"""
    SELECT run_id, {", ".join(RunView._fields)}
    FROM run
    WHERE run_id = ANY($1)
    ORDER BY run_id
    FOR UPDATE
"""

STORE: Final = f"""
    WITH stored AS (
        INSERT INTO run (
            run_id, project_id, state, status, created_at, timeout_at, version,
            incidents, listing, summary, pending_action, decision
        )
        SELECT
            fact.run_id, fact.project_id, fact.state, given.status, fact.created_at,
            fact.timeout_at, fact.version, given.incidents::text[], fact.listing, given.summary,
            fact.pending_action, decided.detail
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::json[])
            AS given (run_id, status, incidents, summary)
        JOIN run_fact AS fact USING (run_id)
        LEFT JOIN LATERAL (
            SELECT item.detail
            FROM item
            WHERE item.run_id = fact.run_id
                AND item.rank = {Rank.DECISION:d}
                AND item.project_id = fact.project_id
                AND item.run_version = fact.version
            ORDER BY item.listed_at, item.tie
            LIMIT 1
        ) AS decided ON true
        ON CONFLICT (run_id) DO UPDATE
        SET {replaced("run")}
        -- as text, since JSON that is kept as it was written knows no equality
        RETURNING new.run_id, old::text IS DISTINCT FROM new::text AS is_changed
    )
    SELECT run_id::text FROM stored WHERE is_changed
"""

REFRESH: Final = """
    UPDATE run
    SET status = given.status, summary = given.summary
    FROM unnest($1::uuid[], $2::text[], $3::json[]) AS given (run_id, status, summary)
    WHERE run.run_id = given.run_id AND run.summary::text <> given.summary::text
    RETURNING run.run_id::text
"""

UNLINK: Final = """
    DELETE FROM run_incident AS link
    USING unnest($1::text[], $2::uuid[]) AS gone (incident, run_id)
    WHERE link.incident = gone.incident AND link.run_id = gone.run_id
"""

LINK: Final = f"""
    INSERT INTO run_incident AS link (incident, run_id, project_id, state, status, created_at)
    SELECT * FROM {given(run_incident.columns)}
    ON CONFLICT (incident, run_id) DO UPDATE
    SET {replaced("run_incident")}
"""


async def runs_of_incidents(connection: Connection, incidents: AbstractSet[str]) -> set[str]:
    """Return the runs that mention any of these incidents."""
    if not incidents:
        return set()
    rows = await connection.fetch(RUNS_OF_INCIDENTS, [*incidents])
    return {str(row["run_id"]) for row in rows}


async def lock_runs(connection: Connection, runs: Collection[str]) -> dict[str, RunView]:
    """Return the runs' rows as they stand, held until the transaction ends.

    Two transactions that reach one run through different incidents take turns here; the second
    one's next statement sees what the first has stored.
    """
    rows = await connection.fetch(LOCK_RUNS, [*runs])
    return {str(run_id): RunView(*view) for run_id, *view in rows}


async def store(
    connection: Connection, views: Mapping[str, RunView], summaries: Mapping[str, str]
) -> set[str]:
    """Write whole rows, from the runs' stored facts and what was computed of them.

    Returns the runs whose row has changed.
    """
    rows = [
        (run_id, view.status, view.incidents, summaries[run_id])
        for run_id, view in sorted(views.items())
    ]
    return await _changed(connection, STORE, rows)


async def refresh(
    connection: Connection, views: Mapping[str, RunView], summaries: Mapping[str, str]
) -> set[str]:
    """Write the summaries of runs of which nothing else has changed.

    Returns the runs whose summary has changed.
    """
    rows = [(run_id, view.status, summaries[run_id]) for run_id, view in sorted(views.items())]
    return await _changed(connection, REFRESH, rows)


async def _changed(
    connection: Connection, statement: str, rows: Sequence[Sequence[object]]
) -> set[str]:
    if not rows:
        return set()
    return {row["run_id"] for row in await connection.fetch(statement, *columns(rows))}


async def link(
    connection: Connection, was: Mapping[str, RunView], now: Mapping[str, RunView]
) -> None:
    """Make the runs' links to incidents say what their rows say."""
    gone: list[tuple[str, str]] = []
    changed: list[tuple[str, str, str, str, str, datetime]] = []
    for run_id, view in now.items():
        old = was.get(run_id)
        if old == view:
            continue
        keys = {incident_key(incident) for incident in view.incidents}
        if old is not None:
            gone += [(key, run_id) for key in map(incident_key, old.incidents) if key not in keys]
        changed += [
            (key, run_id, view.project_id, view.state, view.status, view.created_at) for key in keys
        ]
    if gone:
        await connection.execute(UNLINK, *columns(gone))
    if changed:
        await connection.execute(LINK, *columns(sorted(changed)))
