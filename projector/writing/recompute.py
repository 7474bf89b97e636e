"""Compute runs again from stored facts: their incidents, summary, decision, links and counts."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

import orjson

from contracts import locks
from contracts.incidents import incident_key, unique
from projector.dependencies import Connection
from projector.projections.rows import Rank, dumps
from projector.projections.summary import Evidence, summarise
from projector.writing import counters, run_list
from projector.writing.affected import Affected, Reference
from projector.writing.run_list import RunView

RUNS_OF_REFERENCES: Final = """
    SELECT fact.run_id
    FROM unnest($1::text[], $2::text[]) AS given (project_id, provider_event_id)
    JOIN run_fact AS fact
        ON fact.trigger_ref = given.provider_event_id AND fact.project_id = given.project_id
    UNION
    SELECT fact.run_id
    FROM unnest($3::text[], $4::uuid[]) AS given (project_id, event_id)
    JOIN run_fact AS fact
        ON fact.trigger_event = given.event_id AND fact.project_id = given.project_id
"""

MENTIONS: Final = f"""
    SELECT
        fact.run_id, fact.project_id, fact.state, fact.created_at,
        fact.incidents
            || coalesce(inbound.incidents, '{{}}')
            || coalesce(outbound.incidents, '{{}}') AS incidents
    FROM run_fact AS fact
    LEFT JOIN LATERAL (
        SELECT array_agg(
            mention.id ORDER BY event.received_at, event.event_uuid, mention.place
        ) AS incidents
        FROM (
            SELECT received_at, event_uuid, project_id, incidents
            FROM inbound WHERE run_id = fact.run_id
            UNION
            SELECT received_at, event_uuid, project_id, incidents
            FROM inbound WHERE event_uuid = fact.trigger_event
            UNION
            SELECT received_at, event_uuid, project_id, incidents
            FROM inbound WHERE provider_event_id = fact.trigger_ref
        ) AS event,
        unnest(event.incidents) WITH ORDINALITY AS mention (id, place)
        WHERE event.project_id = fact.project_id
    ) AS inbound ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(
            mention.id ORDER BY item.listed_at, item.tie, mention.place
        ) AS incidents
        FROM item, unnest(item.incidents) WITH ORDINALITY AS mention (id, place)
        WHERE item.run_id = fact.run_id
            AND item.rank = {Rank.OUTBOUND:d}
            AND item.project_id = fact.project_id
    ) AS outbound ON true
    WHERE fact.run_id = ANY($1)
"""

BEARING: Final = """
    SELECT
        found.incident_id, found.project_id, found.rank,
        found.total, found.success, found.failed,
        latest.created_at, latest.id, latest.detail
    FROM (
        SELECT
            incident_id, project_id, rank, count(*) AS total,
            count(*) FILTER (WHERE success) AS success,
            count(*) FILTER (WHERE NOT success) AS failed
        FROM evidence
        WHERE incident_id = ANY($1)
        GROUP BY incident_id, project_id, rank
    ) AS found
    CROSS JOIN LATERAL (
        SELECT evidence.created_at, evidence.id, evidence.detail
        FROM evidence
        WHERE evidence.incident_id = found.incident_id
            AND evidence.rank = found.rank
            AND evidence.project_id IS NOT DISTINCT FROM found.project_id
        ORDER BY evidence.created_at DESC, evidence.id DESC
        LIMIT 1
    ) AS latest
"""

Bearing: TypeAlias = Mapping[tuple[str, str | None, int], Evidence]
"""The evidence on (an incident, runs of a project or of any: null), by kind."""


async def recompute(connection: Connection, affected: Affected, slot: int) -> dict[str, str]:
    """Bring every affected run to what the stored facts say.

    Belongs into the transaction that stored the facts, after them. `slot` is the worker's own
    share of the counters. Returns the runs whose row has changed, each with its project.
    """
    references = ("\x1f".join(reference) for reference in affected.references)
    await locks.lock(connection, locks.Kind.REFERENCE, references)
    runs = affected.runs | await _runs_of(connection, affected.inbound)
    await locks.lock(connection, locks.Kind.RUN, runs)
    facts = await _facts(connection, runs)
    named = {incident_key(incident) for run in facts.values() for incident in run.incidents}
    await locks.lock(connection, locks.Kind.INCIDENT, named | affected.incidents)
    reached = await run_list.runs_of_incidents(connection, affected.incidents)
    return await _rewrite(connection, facts, reached, slot) if facts or reached else {}


async def derive(connection: Connection, runs: set[str], slot: int) -> None:
    """Compute runs of a generation that nobody else writes: nothing has to be locked.

    Belongs into a transaction of its own.
    """
    if facts := await _facts(connection, runs):
        await _rewrite(connection, facts, set(), slot)


async def _rewrite(
    connection: Connection, facts: Mapping[str, RunView], reached: set[str], slot: int
) -> dict[str, str]:
    """Write the runs in `facts` whole, and the summaries of others that were `reached`."""
    was = await run_list.lock_runs(connection, facts.keys() | reached)
    others = {run_id: view for run_id, view in was.items() if run_id not in facts}
    runs = {**facts, **others}
    bearing = await _bearing(connection, {i for each in runs.values() for i in each.incidents})
    now, summaries = _compute(runs, bearing)
    changed = await run_list.store(connection, {run: now[run] for run in facts}, summaries)
    changed |= await run_list.refresh(connection, {run: now[run] for run in others}, summaries)
    await run_list.link(connection, was, now)
    await counters.count_runs(connection, was, now, slot)
    return {run_id: now[run_id].project_id for run_id in changed}


def _compute(
    runs: Mapping[str, RunView], bearing: Bearing
) -> tuple[dict[str, RunView], dict[str, str]]:
    """Return the runs' views and summaries; runs that differ in nothing share one computation."""
    known: dict[tuple[str, str, tuple[str, ...]], tuple[str, str]] = {}
    now: dict[str, RunView] = {}
    summaries: dict[str, str] = {}
    for run_id, run in runs.items():
        same = run.project_id, run.state, tuple(run.incidents)
        if same not in known:
            items = _of(bearing, run, Rank.REMEDIATION)
            records = _of(bearing, run, Rank.LEGACY_CALL)
            summary = summarise(run.incidents, run.state, items, records)
            known[same] = summary["status"], dumps(summary)
        status, summaries[run_id] = known[same]
        now[run_id] = run._replace(status=status)
    return now, summaries


def _of(bearing: Bearing, run: RunView, rank: Rank) -> list[Evidence]:
    return [
        found
        for incident in run.incidents
        for project_id in (None, run.project_id)
        if (found := bearing.get((incident, project_id, rank)))
    ]


async def _runs_of(connection: Connection, references: AbstractSet[Reference]) -> set[str]:
    """Return the runs triggered by what these references name."""
    if not references:
        return set()
    providers = [r for r in references if r.kind == "provider"]
    events = [r for r in references if r.kind == "event"]
    rows = await connection.fetch(
        RUNS_OF_REFERENCES,
        [r.project_id for r in providers],
        [r.ref for r in providers],
        [r.project_id for r in events],
        [r.ref for r in events],
    )
    return {str(row["run_id"]) for row in rows}


async def _facts(connection: Connection, runs: AbstractSet[str]) -> dict[str, RunView]:
    """Return what the stored facts say of these runs; one that has none yet is left out."""
    if not runs:
        return {}
    rows = await connection.fetch(MENTIONS, [*runs])
    return {
        str(run_id): RunView(project_id, state, "", created_at, unique(incidents))
        for run_id, project_id, state, created_at, incidents in rows
    }


async def _bearing(connection: Connection, incidents: set[str]) -> Bearing:
    if not incidents:
        return {}
    rows = await connection.fetch(BEARING, [*incidents])
    return {
        (incident, project_id, rank): Evidence(
            total, success, failed, (created_at, number), orjson.loads(detail)
        )
        for incident, project_id, rank, total, success, failed, created_at, number, detail in rows
    }
