"""The log of runs that changed, written in the transaction that changes them."""

import asyncio
from collections.abc import Mapping
from typing import Final

import asyncpg

from contracts.changes import CHANNEL
from contracts.health import pause
from projector.dependencies import Connection, Dependencies
from projector.writing import faults

RECORD: Final = f"""
    WITH recorded AS (
        INSERT INTO runfold.run_change (run_id, project_id)
        SELECT * FROM unnest($1::uuid[], $2::text[])
    )
    SELECT pg_notify('{CHANNEL}', '')
"""

PRUNE: Final = """
    WITH oldest AS (
        SELECT change_id, run_id, changed_at
        FROM runfold.run_change
        ORDER BY change_id
        LIMIT $2
    ),
    pruned AS (
        DELETE FROM runfold.run_change AS change
        USING oldest
        WHERE change.change_id = oldest.change_id
            AND change.run_id = oldest.run_id
            AND oldest.changed_at < clock_timestamp() - make_interval(secs => $1)
        RETURNING change.change_id
    ),
    horizon AS (
        UPDATE runfold.run_change_horizon
        SET pruned_to = greatest(pruned_to, (SELECT max(change_id) FROM pruned))
        WHERE EXISTS (SELECT FROM pruned)
    )
    SELECT count(*) FROM pruned
"""

FORGET: Final = f"""
    WITH horizon AS (
        UPDATE runfold.run_change_horizon
        SET pruned_to = greatest(pruned_to, pg_current_xact_id())
    )
    SELECT pg_notify('{CHANNEL}', '')
"""

PRUNED_AT_ONCE: Final = 10_000
PRUNE_SECONDS: Final = 60.0
PRUNE_TIMEOUT: Final = 30.0


async def record(connection: Connection, changed: Mapping[str, str]) -> None:
    """Log runs, each with its project, that the caller's transaction has changed."""
    if changed:
        await connection.execute(RECORD, [*changed], [*changed.values()])


async def forget(connection: Connection) -> None:
    """Have all who follow read the views again, for what the caller's transaction does not log."""
    await connection.execute(FORGET)


async def prune(pool: asyncpg.Pool, keep_seconds: float) -> int:
    """Forget changes older than that and how far the log reaches back now; return how many."""
    total = 0
    while pruned := await pool.fetchval(PRUNE, keep_seconds, PRUNED_AT_ONCE):
        total += pruned
    return total


async def keep_pruned(dependencies: Dependencies, keep_seconds: float) -> None:
    """Prune the log now and then until the worker stops."""
    while not dependencies.stopping.is_set():
        try:
            async with asyncio.timeout(PRUNE_TIMEOUT):
                await prune(dependencies.pool, keep_seconds)
        except Exception as error:
            if faults.of(error) is None:
                raise
            dependencies.database.failed(error)
        await pause(dependencies.stopping, PRUNE_SECONDS)
