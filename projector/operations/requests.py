"""Carry out what operators ask of dead letters over the API."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final

import asyncpg

from contracts.health import Stopping, keep_trying
from contracts.requests import CHANNEL, Action, Outcome
from projector.dependencies import Connection, Dependencies
from projector.generations.activation import ActiveGenerationChanged
from projector.operations import dead_letters
from projector.operations.dead_letters import NotParked, StillBad, UnknownDeadLetter
from projector.writing import faults

TAKE: Final = """
    SELECT request_id, letter_id, action, asked_by
    FROM runfold.dead_letter_request
    WHERE outcome IS NULL
    ORDER BY request_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
"""

DONE: Final = """
    UPDATE runfold.dead_letter_request
    SET outcome = $2, detail = $3, done_at = clock_timestamp()
    WHERE request_id = $1
"""

FORGET: Final = """
    DELETE FROM runfold.dead_letter_request WHERE done_at < clock_timestamp() - interval '1 day'
"""

UNTOLD_SECONDS: Final = 5.0
"""How often is looked without having been notified."""


async def carry_out(dependencies: Dependencies, prefix: str) -> None:
    """Carry out requests until the worker stops, waiting for a database that is away."""

    async def listen() -> None:
        async with dependencies.pool.acquire() as connection:
            await _listen(connection, prefix, dependencies.stopping)

    # another generation may become active between finding it out and holding it: once more
    with suppress(Stopping):
        await keep_trying(
            listen,
            dependencies.database,
            dependencies.stopping,
            lambda error: isinstance(error, ActiveGenerationChanged) or faults.is_away(error),
        )


async def _listen(connection: Connection, prefix: str, stopping: asyncio.Event) -> None:
    asked = asyncio.Event()

    def heard(*_: Any) -> None:
        asked.set()

    await connection.add_listener(CHANNEL, heard)
    try:
        while not stopping.is_set():
            asked.clear()
            while await carry_out_next(connection, prefix):
                pass
            await connection.execute(FORGET)
            await _either(asked.wait(), stopping.wait())
    finally:
        if not connection.is_closed():
            await connection.remove_listener(CHANNEL, heard)


async def _either(*events: Awaitable[Any]) -> None:
    tasks = [asyncio.ensure_future(each) for each in events]
    try:
        await asyncio.wait(tasks, timeout=UNTOLD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def carry_out_next(connection: Connection, prefix: str) -> bool:
    """Carry out the oldest request that no other worker has in hand; say whether there was one.

    What is done and what came of it are one transaction.
    """
    async with connection.transaction():
        row = await connection.fetchrow(TAKE)
        if row is None:
            return False
        outcome, detail = await _outcome(connection, row, prefix)
        await connection.execute(DONE, row["request_id"], outcome.value, detail)
    return True


async def _outcome(
    connection: Connection, request: asyncpg.Record, prefix: str
) -> tuple[Outcome, str | None]:
    number, by = request["letter_id"], request["asked_by"]
    try:
        if request["action"] == Action.RETRY:
            await dead_letters.retry(connection, number, prefix, by)
        else:
            await dead_letters.discard(connection, number, by)
    except UnknownDeadLetter as error:
        return Outcome.UNKNOWN, str(error)
    except NotParked as error:
        return Outcome.NOT_PARKED, str(error)
    except StillBad as error:
        return Outcome.STILL_BAD, f"{error.why.reason}: {error.why.message}"
    return Outcome.DONE, None
