"""Compute stored runs again from stored facts: the check that the law holds in production.

Counters are set right by counting again, while workers move them. What a counter is off by is taken
from one snapshot, which holds of every transaction either both what it has stored and what it has
counted or neither. So the difference stays the same whatever commits meanwhile, and adding it is
right whenever it is done.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from contracts import buckets, locks
from contracts.errors import OperationError
from contracts.incidents import incident_key
from projector.dependencies import Connection
from projector.generations import schema
from projector.generations.activation import Target, enter
from projector.generations.diff import paths
from projector.operations import change_log
from projector.writing import counters, faults
from projector.writing.affected import Affected
from projector.writing.faults import Fault
from projector.writing.recompute import recompute
from projector.writing.run_list import RunView
from projector.writing.upsert import columns

ATTEMPTS: Final = 5

STORED: Final = """
    SELECT given.run_id::text, to_jsonb(run) AS row, (
        SELECT coalesce(jsonb_object_agg(link.incident, to_jsonb(link)), '{}')
        FROM run_incident AS link
        WHERE link.run_id = given.run_id
    ) AS links
    FROM unnest($1::uuid[]) AS given (run_id)
    LEFT JOIN run ON run.run_id = given.run_id
"""

FORGET: Final = (
    "DELETE FROM run_incident WHERE run_id = ANY($1)",
    "DELETE FROM run WHERE run_id = ANY($1)",
)

OF_INCIDENT: Final = """
    SELECT run_id::text FROM run_incident WHERE incident = $1
    UNION
    SELECT run_id::text FROM run WHERE $2 = ANY(incidents)
    UNION
    SELECT run_id::text FROM run_fact WHERE $2 = ANY(incidents)
    UNION
    SELECT run_id::text FROM item WHERE $2 = ANY(incidents) AND run_id IS NOT NULL
    UNION
    SELECT run_id::text FROM inbound WHERE $2 = ANY(incidents) AND run_id IS NOT NULL
    UNION
    SELECT fact.run_id::text
    FROM inbound
    JOIN run_fact AS fact
        ON fact.trigger_event = inbound.event_uuid OR fact.trigger_ref = inbound.provider_event_id
    WHERE $2 = ANY(inbound.incidents)
"""
"""Runs that mention an incident, by what is stored of them and by what ought to be."""

KNOWN: Final = """
    SELECT
        (SELECT count(*) FROM run_fact WHERE run_id = $1)
        + (SELECT count(*) FROM run WHERE run_id = $1)
        + (SELECT count(*) FROM run_incident WHERE run_id = $1)
"""


REPAIRS: Final = 7_046_133_004
"""The advisory lock of repairs: two that see the same difference would both add it."""

TAKE: Final = "SELECT pg_advisory_xact_lock($1)"

CORRECT: Final = """
    {wanted} off AS ({off}), corrected AS (
        INSERT INTO {table} AS kept ({key}, slot, total)
        SELECT {key}, 0, counted - stored FROM off ORDER BY {key}
        ON CONFLICT ({key}, slot) DO UPDATE SET total = kept.total + excluded.total
    )
    SELECT {shown}, counted - stored AS by FROM off
"""


def _correct(table: str, wanted: str, within: str) -> str:
    key, _ = counters.COUNTED[table]
    shown = key.replace("bucket", "CASE level WHEN 0 THEN 'epoch' ELSE bucket END")
    off = counters.recount(table, within)
    return CORRECT.format(table=table, key=key, shown=shown, wanted=wanted, off=off)


CORRECT_RUNS: Final = _correct(
    "run_counter",
    f"""
        WITH wanted AS MATERIALIZED (
            SELECT DISTINCT level, bucket, project_id
            FROM unnest($1::text[], $2::timestamptz[]) AS given (project_id, created_at)
            CROSS JOIN LATERAL {counters.moments(buckets.OF_RUNS)}
        ),
    """,
    """
        JOIN wanted USING (level, bucket, project_id)
        WHERE project_id = ANY (SELECT project_id FROM wanted)
    """,
)
CORRECT_INCIDENTS: Final = _correct("incident_counter", "WITH", "WHERE incident = ANY($1)")


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many runs were computed again, and what that changed, a line each."""

    runs: int
    changes: tuple[str, ...]


async def repair_run(connection: asyncpg.Connection, run_id: str) -> Repaired:
    """Compute one run of the active generation again, its links, and the counters it moves.

    Raises `OperationError` when nothing is stored of it.
    """
    if not await connection.fetchval(KNOWN, run_id):
        raise OperationError(f"nothing is stored of a run {run_id}")
    return await _repair(connection, {run_id}, ())


async def repair_incident(connection: asyncpg.Connection, incident_id: str) -> Repaired:
    """Compute all runs that mention an incident again, as `repair_run`."""
    key = incident_key(incident_id)
    rows = await connection.fetch(OF_INCIDENT, key, incident_id)
    return await _repair(connection, {row["run_id"] for row in rows}, [key])


async def _repair(
    connection: asyncpg.Connection, runs: set[str], incidents: Iterable[str]
) -> Repaired:
    target = Target(await schema.resolve(connection))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.transaction():
                await enter(connection, target)
                said = await _compute(connection, runs, set(incidents))
        except asyncpg.PostgresError as error:
            # a worker and we got in each other's way
            if faults.of(error) is not Fault.TRANSIENT or attempt == ATTEMPTS:
                raise
        else:
            return Repaired(len(runs), said)
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _compute(
    connection: asyncpg.Connection, runs: set[str], incidents: set[str]
) -> tuple[str, ...]:
    """Make the rows anew as if there had been none, then set right what is counted of them."""
    await locks.lock(connection, locks.Kind.RUN, runs)
    before = await _stored(connection, runs)
    await locks.lock(connection, locks.Kind.INCIDENT, _incidents(before.values()) | incidents)
    for statement in FORGET:
        await connection.execute(statement, [*runs])
    await recompute(connection, Affected(runs=runs), slot=0)
    after = await _stored(connection, runs)
    both = [*before.values(), *after.values()]
    moved = await _recount(
        connection,
        {(view.project_id, view.created_at) for view in _views(both)},
        _incidents(both) | incidents,
        [*_views(after.values())],
    )
    differing = {run: [*paths(before[run], after[run])] for run in sorted(runs)}
    await change_log.record(
        connection,
        {
            run: after[run]["row"]["project_id"]
            for run, fields in differing.items()
            if fields and after[run]["row"] is not None
        },
    )
    return (
        *(
            f"run {run}: {', '.join(_named(field) for field in fields)}"
            for run, fields in differing.items()
            if fields
        ),
        *moved,
    )


async def _recount(
    connection: Connection,
    places: set[tuple[str, datetime]],
    incidents: set[str],
    counted: Collection[RunView],
) -> list[str]:
    """Set right the counters of these projects at these times, and of these incidents.

    Belongs into the transaction that has changed the rows, which has `counted` these runs as if
    they were new. Returns a line for each counter that was off before that.
    """
    await connection.execute(TAKE, REPAIRS)
    by: Counter[tuple[str, Any]] = Counter()
    for view in counted:
        by.update(("run_counter", key) for key in counters.run_keys(view))
        by.update(("incident_counter", key) for key in counters.incident_keys(view))
    for row in await connection.fetch(CORRECT_RUNS, *columns([*places])) if places else ():
        by["run_counter", tuple(row)[:-1]] += row["by"]
    for row in await connection.fetch(CORRECT_INCIDENTS, [*incidents]) if incidents else ():
        by["incident_counter", tuple(row)[:-1]] += row["by"]
    return [
        f"{table}: {' '.join(map(str, key))}: moved by {change:+d}"
        for (table, key), change in sorted(by.items(), key=str)
        if change
    ]


def _views(stored: Iterable[dict[str, Any]]) -> Iterator[RunView]:
    for row in (each["row"] for each in stored if each["row"] is not None):
        created_at = datetime.fromisoformat(row["created_at"])
        yield RunView(row["project_id"], row["state"], row["status"], created_at, row["incidents"])


def _named(path: str) -> str:
    """`row.summary.status` is the run's, `links.INC-…` says which incident it is linked to."""
    return {"row": "the whole row"}.get(path, path.removeprefix("row."))


def _incidents(stored: Iterable[dict[str, Any]]) -> set[str]:
    """Return the keys of all incidents that rows or links name."""
    found: set[str] = set()
    for each in stored:
        found |= each["links"].keys()
        found |= {incident_key(incident) for incident in (each["row"] or {}).get("incidents", ())}
    return found


async def _stored(connection: asyncpg.Connection, runs: set[str]) -> dict[str, dict[str, Any]]:
    return {
        row["run_id"]: {
            "row": None if row["row"] is None else orjson.loads(row["row"]),
            "links": orjson.loads(row["links"]),
        }
        for row in await connection.fetch(STORED, [*runs])
    }
