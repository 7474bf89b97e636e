"""What an operator looks at: how far the projection has come, and what it could not use."""

from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from api.metrics import Backlog
from api.queries.arguments import Arguments, every
from api.reading import Snapshot

REBUILDS: Final = """
    SELECT '[' || coalesce(string_agg(row_to_json(each)::text, ',' ORDER BY generation), '') || ']'
    FROM (
        SELECT generation, phase, runfold.is_rebuilding(generation) AS is_running, done, total,
            events_per_second, topics, error, runfold.rfc3339(started_at) AS started_at,
            runfold.rfc3339(updated_at) AS updated_at
        FROM runfold.rebuild
        WHERE phase <> 'ready'
    ) AS each
"""

PROJECTION: Final = f"""
    -- projection: where every partition stands, and every rebuild that is not done
    SELECT '[' || coalesce(string_agg(row_to_json(line)::text, ',' ORDER BY topic, partition), '')
        || ']' AS partitions, sum(lag)::bigint AS lag, ({REBUILDS}) AS rebuilds
    FROM (
        SELECT topic, partition, position, "end", lag, events_per_second, last_error, worker_id,
            runfold.rfc3339(updated_at) AS updated_at
        FROM progress()
    ) AS line
"""

# Of a partition that nobody has, or that has just been assigned, the end is not known.
READINESS: Final = """
    -- readiness: whether anybody projects, and how far behind
    SELECT coalesce(sum(lag), 0)::bigint AS lag, count(DISTINCT worker_id) AS workers,
        count(*) FILTER (WHERE "end" IS NULL) AS unknown
    FROM progress()
"""

OUTBOX: Final = """
    -- backlog: decisions that are not published yet
    SELECT count(*) AS pending,
        coalesce(extract(epoch FROM clock_timestamp() - min(decided_at)), 0)::float8 AS age
    FROM runfold.command WHERE published_at IS NULL
"""

PARKED: Final = """
    -- backlog: dead letters that wait for an operator
    SELECT reason, count(*) AS total
    FROM runfold.dead_letter WHERE state = 'parked' AND $1 = ANY(generations) GROUP BY reason
"""

DEAD_LETTERS: Final = """
    -- dead letters: a page, newest first
    SELECT d.id, d.reason, d.message, d.topic, d.partition, d."offset", d.key, d.state,
        runfold.rfc3339(d.created_at) AS created_at
    FROM runfold.dead_letter d WHERE {within} ORDER BY d.id DESC LIMIT {limit}
"""

DEAD_LETTERS_TOTAL: Final = """
    -- dead letters: how many
    SELECT count(*) AS total FROM runfold.dead_letter d WHERE {within}
"""

DEAD_LETTER: Final = """
    -- dead letter: all of one
    SELECT d.id, d.reason, d.message, d.topic, d.partition, d."offset", d.key, d.state,
        d.headers, d.value, runfold.rfc3339(d.created_at) AS created_at,
        runfold.rfc3339(d.changed_at) AS changed_at, d.changed_by
    FROM runfold.dead_letter d WHERE d.id = $1::bigint
"""


@dataclass(frozen=True, slots=True)
class Projection:
    """Where every partition stands."""

    generation: str
    partitions: str
    """JSON array."""
    lag: int | None
    """Events behind over all partitions whose end is known; None when none is."""
    rebuilds: str
    """JSON array."""
    as_of: str | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the views are being kept up."""

    generation: str
    lag: int
    """Events behind, over all partitions."""
    workers: int
    """How many workers have been seen lately."""
    unknown: int
    """Partitions of which no worker says how far they reach."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Filters of the dead letters; None filters nothing."""

    reason: str | None
    topic: str | None
    state: str | None


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """A page of dead letters."""

    rows: list[asyncpg.Record]
    total: int
    as_of: str | None


async def projection(snapshot: Snapshot) -> Projection:
    """Return where every partition of the active generation stands."""
    row = await snapshot.one(PROJECTION)
    return Projection(
        snapshot.generation, row["partitions"], row["lag"], row["rebuilds"], row["as_of"]
    )


async def readiness(snapshot: Snapshot) -> Readiness:
    """Return how far behind the active generation is, and how many workers are at it."""
    row = await snapshot.one(READINESS)
    return Readiness(snapshot.generation, row["lag"], row["workers"], row["unknown"])


async def backlog(snapshot: Snapshot) -> Backlog:
    """Return what waits in the outbox and among the dead letters."""
    outbox = await snapshot.connection.fetchrow(OUTBOX)
    parked = await snapshot.connection.fetch(PARKED, snapshot.generation)
    return Backlog(
        outbox_pending=outbox["pending"] if outbox else 0,
        outbox_age_s=max(0.0, outbox["age"]) if outbox else 0.0,
        parked={row["reason"]: row["total"] for row in parked},
    )


async def dead_letters(
    snapshot: Snapshot, where: DeadLetterFilter, after: int | None, limit: int
) -> DeadLetterPage:
    """Return the dead letters that `where` finds, newest first, one more than `limit`."""
    # a reason, a topic or a state may be of one letter or of all
    await snapshot.plan_by_values()
    bind = Arguments()
    conditions = [f"{bind.bind(snapshot.generation, 'text')} = ANY(d.generations)"]
    conditions += _conditions(bind, where)
    counted = await snapshot.one(DEAD_LETTERS_TOTAL.format(within=every(conditions)), *bind)
    if after is not None:
        conditions.append(f"d.id < {bind.bind(after, 'bigint')}")
    many = bind.bind(limit + 1, "bigint")
    statement = DEAD_LETTERS.format(within=every(conditions), limit=many)
    rows = await snapshot.connection.fetch(statement, *bind)
    return DeadLetterPage(rows, counted["total"], counted["as_of"])


async def dead_letter(snapshot: Snapshot, number: int) -> asyncpg.Record | None:
    """Return all of one dead letter, with `as_of` besides; None when there is none."""
    return await snapshot.row(DEAD_LETTER, number)


def _conditions(bind: Arguments, where: DeadLetterFilter) -> list[str]:
    wanted: dict[str, Any] = {"reason": where.reason, "topic": where.topic, "state": where.state}
    return [
        f"d.{column} = {bind.bind(value, 'text')}"
        for column, value in wanted.items()
        if value is not None
    ]
