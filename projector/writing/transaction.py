"""One transaction for one batch: positions, facts, what follows from them, dead letters."""

import base64
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from contracts import instants
from projector.dependencies import Connection
from projector.generations.activation import Mode, Target, enter
from projector.operations import change_log
from projector.projections.text import dumps
from projector.writing import counters, positions, statements
from projector.writing.batch import Batch, DeadLetter
from projector.writing.recompute import recompute
from projector.writing.touched import Touched

MANY: Final = 64
"""Rows from which on COPY is worth a statement of its own: it costs half of what arrays do."""

SESSION: Final = {
    "TimeZone": "UTC",
    "jit": "off",
    # every statement finds its rows by key, however many there are: planned once, and never to
    # read a whole table because it was small (or unknown to the planner) at that moment
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
}
"""Settings of the sessions that write.

`synchronous_commit` stays on, though a batch lost in a crash of the server would be read again: who
follows changes remembers the number of the last transaction, and a number that was seen and lost
would be given to another one, whose changes would be taken for known.
"""

STATES: Final = """
    INSERT INTO run_state (run_id, project_id, changed_at, state)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[])
    ON CONFLICT (run_id, project_id, changed_at, state) DO NOTHING
"""

# Another generation may have met the record before. In one order, so that none waits for another.
PARK: Final = """
    INSERT INTO runfold.dead_letter AS known
        (topic, partition, "offset", key, headers, value, reason, message, generations)
    SELECT given.*, ARRAY[$1::text]
    FROM unnest(
        $2::text[], $3::int[], $4::bigint[], $5::bytea[],
        $6::json[], $7::bytea[], $8::text[], $9::text[]
    ) AS given (topic, partition, "offset", key, headers, value, reason, message)
    ORDER BY topic COLLATE "C", partition, "offset"
    ON CONFLICT (topic, partition, "offset", sha256(value)) DO UPDATE
    SET generations = known.generations || excluded.generations
"""


async def prepare(connection: asyncpg.Connection) -> None:
    """Make a new connection one that `write` and `apply` can use."""
    await instants.prepare(connection)
    await connection.execute(statements.stage("item"))


async def keep(connection: asyncpg.Connection) -> None:
    """Leave a connection as it is when it goes back: transactions here leave nothing behind."""


async def write(connection: Connection, batch: Batch, target: Target, slot: int) -> None:
    """Write a batch into a generation, all of it or nothing.

    Raises `PositionConflict` when a partition is not where the batch started,
    `ActiveGenerationChanged`, and what PostgreSQL says otherwise; `projector.faults` tells which
    of that is the data's fault.
    """
    async with connection.transaction():
        # no timeout ends a worker put to sleep within a COPY: here it holds what nobody waits for
        is_staged = await _stage(connection, batch)
        await enter(connection, target)
        await positions.claim(connection, batch.moves)
        changed = await apply(connection, batch, slot, is_staged=is_staged)
        if target.mode is Mode.ACTIVE:
            await change_log.record(connection, changed)
        await park(connection, batch.dead, target.generation)
        await positions.advance(connection, batch.moves)


async def apply(
    connection: Connection, batch: Batch, slot: int, *, is_staged: bool = False
) -> dict[str, str]:
    """Write the rows of a batch and whatever follows from them, in the caller's transaction.

    `is_staged` says that its items have been copied to where they are staged. Returns the runs
    whose row has changed, each with its project.
    """
    touched = Touched()
    touched.by_runs(await _upsert(connection, "run_fact", batch))
    await _states(connection, batch)
    if is_staged:
        touched.by_items(await connection.fetch(statements.upsert_staged("item")))
    else:
        touched.by_items(await _upsert(connection, "item", batch))
    touched.by_inbound(await _upsert(connection, "inbound", batch))
    touched.by_evidence(await _upsert(connection, "evidence", batch))
    await _upsert(connection, "project", batch)
    revisions = await _upsert(connection, "contract_revision", batch)
    changed = await recompute(connection, touched, slot)
    await counters.count_contracts(connection, revisions, slot)
    return changed


async def _upsert(connection: Connection, table: str, batch: Batch) -> Sequence[asyncpg.Record]:
    rows = batch.rows.get(table)
    if not rows:
        return []
    return await connection.fetch(statements.upsert(table), *statements.columns(rows))


async def _stage(connection: Connection, batch: Batch) -> bool:
    """Copy items, which are most of what there is to write, to a place of our own if many.

    Returns whether it has.
    """
    rows = batch.rows.get("item", [])
    if len(rows) < MANY:
        return False
    await connection.copy_records_to_table(
        statements.staged("item"), schema_name="pg_temp", records=rows
    )
    return True


async def _states(connection: Connection, batch: Batch) -> None:
    if batch.states:
        await connection.execute(STATES, *statements.columns(batch.states))


async def park(connection: Connection, dead: Sequence[DeadLetter], generation: str) -> None:
    """Store records that this generation cannot use, in the caller's transaction.

    What another generation has met before keeps its number and what was decided on it.
    """
    if dead:
        letters = [_parked(letter) for letter in dead]
        await connection.execute(PARK, generation, *statements.columns(letters))


def _parked(letter: DeadLetter) -> tuple[Any, ...]:
    record, why = letter
    headers = [
        [name, None if value is None else base64.b64encode(value).decode()]
        for name, value in record.headers
    ]
    return (
        record.topic,
        record.partition,
        record.offset,
        record.key,
        dumps(headers),
        record.value or b"",
        why.reason.value,
        why.message,
    )
