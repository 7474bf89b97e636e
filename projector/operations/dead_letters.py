"""Dead letters: look at them, try them again, set them aside."""

import json
from typing import Any, Final

import asyncpg

from contracts.decoding import Reason, Undecodable, decode
from contracts.errors import OperationError
from projector.dependencies import Connection
from projector.generations import schema
from projector.generations.activation import Target, enter
from projector.operations import change_log
from projector.projections.registry import BY_SUFFIX
from projector.writing import faults, transaction
from projector.writing.batch import Batch, of_event
from projector.writing.faults import Fault

LIST: Final = """
    SELECT id, reason, state, topic, partition, "offset", created_at, message
    FROM dead_letter
    WHERE ($1::text IS NULL OR reason = $1)
        AND ($2::text IS NULL OR topic = $2)
        AND ($3::text IS NULL OR state = $3)
    ORDER BY id DESC
    LIMIT $4
"""

SHOW: Final = "SELECT * FROM dead_letter WHERE id = $1"

TAKE: Final = """
    SELECT topic, value, state
    FROM dead_letter
    WHERE id = $1
    FOR UPDATE
"""

MARK: Final = """
    UPDATE dead_letter
    SET state = $2, changed_at = clock_timestamp(), changed_by = $3
    WHERE id = $1
"""

RESTATE: Final = "UPDATE dead_letter SET reason = $2, message = $3 WHERE id = $1"


class UnknownDeadLetter(OperationError):
    """No dead letter has this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no dead letter {number}: see `runfold dead-letters list`")


class NotParked(OperationError):
    """The dead letter was retried or discarded before."""

    def __init__(self, number: int, state: str) -> None:
        super().__init__(f"dead letter {number} is {state} already")


class StillBad(OperationError):
    """The record cannot be used today either; it stays parked, for today's reason."""

    def __init__(self, number: int, why: Undecodable) -> None:
        self.why = why
        super().__init__(f"dead letter {number} stays parked: {why.reason}: {why.message}")


async def list_letters(
    connection: Connection,
    *,
    reason: str | None = None,
    topic: str | None = None,
    state: str | None = None,
    limit: int = 50,
) -> list[asyncpg.Record]:
    """Return dead letters without their bytes, newest first."""
    return await connection.fetch(LIST, reason, topic, state, limit)


async def show(connection: Connection, number: int) -> dict[str, Any]:
    """Return one dead letter whole; its headers as [name, base64] pairs.

    Raises `UnknownDeadLetter`.
    """
    row = await connection.fetchrow(SHOW, number)
    if row is None:
        raise UnknownDeadLetter(number)
    return {**row, "headers": json.loads(row["headers"])}


async def retry(connection: Connection, number: int, prefix: str, by: str) -> None:
    """Put the parked bytes through today's decoding and apply the event they make.

    The version guard decides as ever: an event that comes late changes nothing that is newer. The
    letter is kept, marked `retried` and by whom. Raises `UnknownDeadLetter`, `NotParked`, and
    `StillBad` after storing today's reason.
    """
    target = Target(await schema.resolve(connection))
    async with connection.transaction():
        await enter(connection, target)
        row = await _take(connection, number)
        applied = await apply(connection, row["topic"].removeprefix(prefix), row["value"])
        if isinstance(applied, Undecodable):
            await connection.execute(RESTATE, number, applied.reason.value, applied.message)
        else:
            await change_log.record(connection, applied)
            await connection.execute(MARK, number, "retried", by)
    if isinstance(applied, Undecodable):
        raise StillBad(number, applied)


async def apply(connection: Connection, suffix: str, value: bytes) -> dict[str, str] | Undecodable:
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


async def discard(connection: Connection, number: int, by: str) -> None:
    """Set a dead letter aside: it is kept, marked `discarded` and by whom.

    Raises `UnknownDeadLetter` and `NotParked`.
    """
    target = Target(await schema.resolve(connection))
    async with connection.transaction():
        await enter(connection, target)
        await _take(connection, number)
        await connection.execute(MARK, number, "discarded", by)


async def _take(connection: Connection, number: int) -> asyncpg.Record:
    """Return a parked letter, held so that it is not decided upon twice."""
    row = await connection.fetchrow(TAKE, number)
    if row is None:
        raise UnknownDeadLetter(number)
    if row["state"] != "parked":
        raise NotParked(number, row["state"])
    return row


async def _applied(connection: Connection, batch: Batch) -> dict[str, str] | Undecodable:
    """Apply a batch; say why not when the database refuses its data."""
    try:
        async with connection.transaction():
            return await transaction.apply(connection, batch, slot=0)
    except asyncpg.PostgresError as error:
        if faults.of(error) is not Fault.DATA:
            raise
        return Undecodable(Reason.REJECTED, faults.said(error))
