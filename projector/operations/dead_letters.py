"""Dead letters: look at them, try them again, set them aside, by command or as asked over HTTP."""

import json
from contextlib import suppress
from typing import Any, Final

import asyncpg

from contracts.decoding import Reason, Undecodable, decode
from contracts.errors import OperationError
from contracts.health import pause
from contracts.locks import ACTIVATION
from projector.dependencies import Connection, Dependencies
from projector.generations import schema
from projector.generations.activation import ENTER, ActiveGenerationChanged, Target, enter
from projector.operations import change_log
from projector.projections.registry import BY_SUFFIX
from projector.writing import faults, transaction
from projector.writing.batch import Batch, of_event
from projector.writing.faults import Fault

LIST: Final = """
    SELECT id, reason, state, topic, partition, "offset", created_at, message
    FROM runfold.dead_letter
    WHERE (SELECT name FROM runfold.active_generation) = ANY(generations)
        AND ($1::text IS NULL OR reason = $1)
        AND ($2::text IS NULL OR topic = $2)
        AND ($3::text IS NULL OR state = $3)
    ORDER BY id DESC
    LIMIT $4
"""

SHOW: Final = "SELECT * FROM runfold.dead_letter WHERE id = $1"

HOLD_ACTIVE: Final = "SELECT pg_advisory_xact_lock_shared($1)"

TAKE: Final = "SELECT topic, value, state FROM runfold.dead_letter WHERE id = $1 FOR UPDATE"

MARK: Final = """
    UPDATE runfold.dead_letter
    SET state = $2, changed_at = clock_timestamp(), changed_by = $3, requested = NULL
    WHERE id = $1
"""

PARK_AGAIN: Final = """
    UPDATE runfold.dead_letter
    SET state = 'parked', reason = $2, message = $3, changed_at = NULL, changed_by = NULL,
        requested = NULL
    WHERE id = $1
"""

REQUESTED: Final = """
    SELECT id, requested, requested_by
    FROM runfold.dead_letter
    WHERE requested IS NOT NULL
    ORDER BY id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
"""
LOOK_SECONDS: Final = 0.5
"""How often a worker looks for what was asked over HTTP."""

# A letter whose record the other generation has not read: nothing but the letter may have it.
KEEP: Final = """
    UPDATE runfold.dead_letter AS letter
    SET generations = generations || $2::text
    WHERE $1 = ANY(generations) AND $2 <> ALL(generations) AND NOT EXISTS (
        SELECT FROM {other}.position
        WHERE position.topic = letter.topic AND position.partition = letter.partition
            AND position.first_offset <= letter."offset"
    )
"""

# A record that a file has as well as a topic, or as a file read before, is one letter.
FORGET_DOUBLES: Final = """
    WITH doubled AS (
        UPDATE runfold.dead_letter AS letter
        SET generations = array_remove(generations, $2::text)
        WHERE partition < 0 AND $2 = ANY(generations) AND $1 <> ALL(generations) AND EXISTS (
            SELECT FROM runfold.dead_letter AS known
            WHERE known.topic = letter.topic AND known.value = letter.value
                AND $2 = ANY(known.generations)
                AND (known.partition >= 0 OR $1 = ANY(known.generations))
        )
        RETURNING topic, partition
    )
    UPDATE {other}.position
    SET dead = position.dead - counted.total, gaps = position.gaps + counted.total
    FROM (SELECT topic, partition, count(*) AS total FROM doubled GROUP BY topic, partition)
        AS counted
    WHERE position.topic = counted.topic AND position.partition = counted.partition
"""

RETRIED: Final = """
    SELECT id, topic, value
    FROM runfold.dead_letter
    WHERE state = 'retried' AND $1 = ANY(generations)
    ORDER BY id
"""


class StillBad(OperationError):
    """The record cannot be used today either; it stays parked, for today's reason."""


async def list_letters(
    connection: Connection,
    *,
    reason: str | None = None,
    topic: str | None = None,
    state: str | None = None,
    limit: int = 50,
) -> list[asyncpg.Record]:
    """Return dead letters of the active generation without their bytes, newest first."""
    return await connection.fetch(LIST, reason, topic, state, limit)


async def show(connection: Connection, number: int) -> dict[str, Any]:
    """Return one dead letter whole; its headers as [name, base64] pairs.

    Raises `OperationError` when there is none.
    """
    row = _found(await connection.fetchrow(SHOW, number), number)
    return {**row, "headers": json.loads(row["headers"])}


async def retry(connection: Connection, number: int, prefix: str, by: str) -> None:
    """Put the parked bytes through today's decoding and apply the event they make.

    The version guard decides as ever: an event that comes late changes nothing that is newer. The
    letter is kept, marked `retried` and by whom. Raises `StillBad` after storing today's reason,
    and `OperationError` when the letter is not parked.
    """
    target = Target(await schema.resolve(connection))
    async with connection.transaction():
        await enter(connection, target)
        row = await _take(connection, number)
        applied = await _apply(connection, row["topic"].removeprefix(prefix), row["value"])
        if isinstance(applied, Undecodable):
            await connection.execute(PARK_AGAIN, number, applied.reason.value, applied.message)
        else:
            await change_log.record(connection, applied)
            await connection.execute(MARK, number, "retried", by)
    if isinstance(applied, Undecodable):
        raise StillBad(f"dead letter {number} stays parked: {applied.reason}: {applied.message}")


async def discard(connection: Connection, number: int, by: str) -> None:
    """Set a dead letter aside: it is kept, marked `discarded` and by whom.

    Raises `OperationError` when it is not parked.
    """
    async with connection.transaction():
        await _take(connection, number)
        await connection.execute(MARK, number, "discarded", by)


async def carry_out(dependencies: Dependencies, prefix: str) -> None:
    """Do what operators ask over HTTP, which writes no view, until the worker stops."""
    while not dependencies.stopping.is_set():
        try:
            async with dependencies.pool.acquire() as connection:
                while await _carry_out_next(connection, prefix):
                    pass
        except ActiveGenerationChanged:
            continue
        except Exception as error:
            if not faults.is_away(error):
                raise
            dependencies.database.failed(error)
        await pause(dependencies.stopping, LOOK_SECONDS)


async def _carry_out_next(connection: Connection, prefix: str) -> bool:
    """Do what was asked of one dead letter that no other worker has in hand, if there is one."""
    async with connection.transaction():
        # before the letter: a swap holds this lock while it waits for letters
        await connection.execute(HOLD_ACTIVE, ACTIVATION)
        row = await connection.fetchrow(REQUESTED)
        if row is None:
            return False
        number, by = row["id"], row["requested_by"]
        if row["requested"] == "discard":
            await discard(connection, number, by)
        else:
            with suppress(StillBad):
                await retry(connection, number, prefix, by)
    return True


async def take_over(connection: Connection, active: str, other: str, prefix: str) -> None:
    """Make the dead letters of `other` those that operators know from the active generation.

    One whose record `other` has not read goes over as it is. One that was retried is tried in
    `other` as well, and is parked again if it cannot be used. Belongs into the transaction that
    activates `other`.
    """
    entered = schema.schema_of(other)
    await connection.execute(KEEP.format(other=entered), active, other)
    await connection.execute(FORGET_DOUBLES.format(other=entered), active, other)
    await connection.execute(ENTER, entered)
    for row in await connection.fetch(RETRIED, other):
        applied = await _apply(connection, row["topic"].removeprefix(prefix), row["value"])
        if isinstance(applied, Undecodable):
            await connection.execute(PARK_AGAIN, row["id"], applied.reason.value, applied.message)


async def _take(connection: Connection, number: int) -> asyncpg.Record:
    """Return a parked letter, held so that it is not decided upon twice."""
    row = _found(await connection.fetchrow(TAKE, number), number)
    if row["state"] != "parked":
        raise OperationError(f"dead letter {number} is {row['state']} already")
    return row


def _found(row: asyncpg.Record | None, number: int) -> asyncpg.Record:
    if row is None:
        raise OperationError(f"there is no dead letter {number}: see `runfold dead-letters list`")
    return row


async def _apply(connection: Connection, suffix: str, value: bytes) -> dict[str, str] | Undecodable:
    """Apply the event in these bytes, in the caller's transaction.

    Returns the runs whose row has changed, each with its project, or why there is no event.
    """
    if suffix not in BY_SUFFIX:
        message = f"{suffix} is no topic of events here: see RUNFOLD_TOPIC_PREFIX"
        return Undecodable(Reason.UNKNOWN_TYPE, message)
    outcome = decode(suffix, value)
    if isinstance(outcome, Undecodable):
        return outcome
    return await _applied(connection, of_event(suffix, outcome))


async def _applied(connection: Connection, batch: Batch) -> dict[str, str] | Undecodable:
    """Apply a batch; say why not when the database refuses its data."""
    try:
        async with connection.transaction():
            return await transaction.apply(connection, batch, slot=0)
    except asyncpg.PostgresError as error:
        if faults.of(error) is not Fault.DATA:
            raise
        return Undecodable(Reason.REJECTED, faults.said(error))
