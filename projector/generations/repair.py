"""Compute stored runs again from stored facts: the check that the law holds in production."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from contracts import locks
from contracts.errors import OperationError
from contracts.incidents import incident_key
from projector.generations import recount, schema
from projector.generations.activation import Target, enter
from projector.generations.diff import paths
from projector.operations import change_log
from projector.writing import faults
from projector.writing.faults import Fault
from projector.writing.recompute import recompute
from projector.writing.run_list import RunView
from projector.writing.touched import Touched

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


class UnknownRun(OperationError):
    """Nothing is stored of this run."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"nothing is stored of a run {run_id}")


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many runs were computed again, and what that changed, a line each."""

    runs: int
    changes: tuple[str, ...]


async def repair_run(connection: asyncpg.Connection, run_id: str) -> Repaired:
    """Compute one run of the active generation again, its links, and the counters it moves.

    Raises `UnknownRun`.
    """
    if not await connection.fetchval(KNOWN, run_id):
        raise UnknownRun(run_id)
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
    await recompute(connection, Touched(runs=runs), slot=0)
    after = await _stored(connection, runs)
    both = [*before.values(), *after.values()]
    moved = await recount.correct(
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
