"""One transaction for one batch: positions, facts, what follows from them, dead letters."""

import base64
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from contracts import instants
from projector.dependencies import Connection
from projector.generations.activation import Mode, Target, enter
from projector.operations import change_log
from projector.projections.rows import dumps
from projector.writing import counters, positions
from projector.writing.affected import affected_by
from projector.writing.batch import Batch, DeadLetter
from projector.writing.recompute import recompute
from projector.writing.upsert import columns, make_stage, stage, upsert, upsert_staged

MANY: Final = 64
"""Items from which on staging them is worth a statement of its own."""

SESSION: Final = {
    "TimeZone": "UTC",
    "jit": "off",
    # every statement finds its rows by key, however many there are: planned once, and never to
    # read a whole table because it was small (or unknown to the planner) at that moment
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
}
"""Settings of the sessions that write.

`synchronous_commit` stays on, though a batch lost in a crash of the server would be read again:
a reader of the change log remembers the number of the last transaction it saw. If that transaction
were lost, another one would get its number, and the reader would skip its changes.
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
    """Prepare a new connection for `write` and `apply`."""
    await instants.prepare(connection)
    await make_stage(connection)


async def keep(connection: asyncpg.Connection) -> None:
    """Leave a connection as it is when it goes back to the pool: nothing needs to be reset."""


async def write(connection: Connection, batch: Batch, target: Target, slot: int) -> None:
    """Write a batch into a generation, all of it or nothing.

    Raises `PositionConflict` when a partition is not where the batch started,
    `ActiveGenerationChanged`, and PostgreSQL's errors: `faults` says which are the data's fault.
    """
    items = batch.rows.get("item", [])
    is_staged = len(items) >= MANY
    async with connection.transaction():
        if is_staged:
            # before any lock: no timeout ends a worker that is put to sleep within a COPY
            await stage(connection, items)
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
    """Write the rows of a batch and what follows from them, in the caller's transaction.

    `is_staged` says that the items are staged already. Returns the runs whose row has changed,
    each with its project.
    """

    async def stored(table: str) -> list[asyncpg.Record]:
        return await upsert(connection, table, batch.rows.get(table, []))

    facts = await stored("run_fact")
    await stored("run_state")
    items = await upsert_staged(connection) if is_staged else await stored("item")
    inbound = await stored("inbound")
    evidence = await stored("evidence")
    await stored("project")
    revisions = await stored("contract_revision")
    affected = affected_by(facts, items, inbound, evidence)
    changed = await recompute(connection, affected, slot)
    await counters.count_contracts(connection, revisions, slot)
    return changed


async def park(connection: Connection, dead: Sequence[DeadLetter], generation: str) -> None:
    """Store records that this generation cannot use, in the caller's transaction.

    What another generation has met before keeps its number and what was decided on it.
    """
    if dead:
        letters = [_parked(letter) for letter in dead]
        await connection.execute(PARK, generation, *columns(letters))


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
