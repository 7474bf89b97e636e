"""For operators: how far the projection is, what waits in the database, and the dead letters."""

import base64
from typing import Annotated, Any, Final, Literal, NamedTuple

import asyncpg
import orjson
from pydantic import Field, TypeAdapter

from api.cursors import Cursors
from api.metrics import Backlog
from api.parameters import DIGITS, MAX_PAGE_SIZE, CursorText, Parameters, Text
from api.problems import not_found
from api.reading import Answer, Arguments, Snapshot, every
from api.responses import Json
from contracts.decoding import Reason
from contracts.fields import INT64_MAX

DeadLetterStatus = Literal["parked", "retried", "discarded"]

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


async def projection(snapshot: Snapshot, _: Parameters) -> Answer:
    """Return where every partition stands, and the rebuilds that are not done."""
    row = await snapshot.one(PROJECTION)
    body = {
        "generation": snapshot.generation,
        "partitions": Json(row["partitions"]),
        "lag": row["lag"],
        "rebuilds": Json(row["rebuilds"]),
    }
    return body, row["as_of"]


# Of a partition that nobody has, or that has just been assigned, the end is not known.
READINESS: Final = """
    -- readiness: whether any worker runs, and how far behind the views are
    SELECT coalesce(sum(lag), 0)::bigint AS lag, count(DISTINCT worker_id) AS workers,
        count(*) FILTER (WHERE "end" IS NULL) AS unknown
    FROM progress()
"""


class Readiness(NamedTuple):
    """Whether the views are being kept up."""

    lag: int
    """Events behind, over all partitions."""
    workers: int
    """How many workers have been seen in the last 30 seconds."""
    unknown: int
    """Partitions whose end no worker has reported."""


async def readiness(snapshot: Snapshot) -> Readiness:
    """Return how far behind the active generation is, and how many workers project into it."""
    row = await snapshot.one(READINESS)
    return Readiness(row["lag"], row["workers"], row["unknown"])


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


async def backlog(snapshot: Snapshot) -> Backlog:
    """Return what waits in the outbox and among the dead letters."""
    outbox = await snapshot.one(OUTBOX)
    parked = await snapshot.connection.fetch(PARKED, snapshot.generation)
    return Backlog(
        outbox_pending=outbox["pending"],
        outbox_age_s=max(0.0, outbox["age"]),
        parked={row["reason"]: row["total"] for row in parked},
    )


class DeadLetterParameters(Parameters):
    """Parameters of the dead letters."""

    reason: Reason | None = None
    """Only those parked for this reason."""
    topic: Text | None = None
    """Only those of this topic, by its full name."""
    status: DeadLetterStatus | None = None
    """Only those with which this was done."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), DIGITS] = 100
    """Dead letters on a page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before."""


DEAD_LETTER_CURSORS: Final[Cursors[int]] = Cursors(
    "dead-letters", TypeAdapter(Annotated[int, Field(ge=0, le=INT64_MAX)])
)

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


async def dead_letters(snapshot: Snapshot, parameters: DeadLetterParameters) -> Answer:
    """Return a page of dead letters, newest first, and how many the filters find in all."""
    bound, limit = parameters.bound(), parameters.limit
    wanted = {"reason": parameters.reason, "topic": parameters.topic, "state": parameters.status}
    # a reason, a topic or a state may be of one letter or of all
    await snapshot.plan_by_values()
    bind = Arguments()
    within = [f"{bind.bind(snapshot.generation, 'text')} = ANY(d.generations)"]
    within += [
        f"d.{column} = {bind.bind(value, 'text')}"
        for column, value in wanted.items()
        if value is not None
    ]
    counted = await snapshot.one(DEAD_LETTERS_TOTAL.format(within=every(within)), *bind)
    if parameters.cursor is not None:
        after = DEAD_LETTER_CURSORS.key(parameters.cursor, bound)
        within.append(f"d.id < {bind.bind(after, 'bigint')}")
    statement = DEAD_LETTERS.format(within=every(within), limit=bind.bind(limit + 1, "bigint"))
    rows = await snapshot.connection.fetch(statement, *bind)
    shown = rows[:limit]
    is_more = len(rows) > limit
    body = {
        "dead_letters": [_listed(row) for row in shown],
        "total": counted["total"],
        "next_cursor": DEAD_LETTER_CURSORS.after(shown[-1]["id"], bound) if is_more else None,
    }
    return body, counted["as_of"]


async def dead_letter(snapshot: Snapshot, _: Parameters, number: int) -> Answer:
    """Return one dead letter with its headers and bytes. Raises `Problem`: 404."""
    row = await snapshot.row(DEAD_LETTER, number)
    if row is None:
        raise not_found("dead_letter")
    body = _listed(row) | {
        "headers": orjson.loads(row["headers"]),
        "key_base64": None if row["key"] is None else _base64(row["key"]),
        "value_base64": _base64(row["value"]),
        "changed_at": row["changed_at"],
        "changed_by": row["changed_by"],
    }
    return body, row["as_of"]


def _listed(row: asyncpg.Record) -> dict[str, Any]:
    key: bytes | None = row["key"]
    return {
        "id": row["id"],
        "reason": row["reason"],
        "message": row["message"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "key": None if key is None else key.decode(errors="replace"),
        "status": row["state"],
        "created_at": row["created_at"],
    }


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
