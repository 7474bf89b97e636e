"""Compute runs, links and counters of a settled generation from its facts."""

from typing import Final
from uuid import UUID

from contracts import read_model
from projector.database import connected
from projector.dependencies import Connection
from projector.generations import record
from projector.generations.copied import COPIED, searched
from projector.generations.schema import schema_of
from projector.writing.recompute import derive

RUNS_AT_ONCE: Final = 2_000
NEXT_RUNS: Final = """
    SELECT fact.run_id::text
    FROM run_fact AS fact
    WHERE ($1::uuid IS NULL OR fact.run_id > $1) AND fact.run_id <= $2
    ORDER BY fact.run_id
    LIMIT $3
"""

COUNT_CONTRACTS: Final = """
    INSERT INTO contract_counter (project_id, lifecycle_status, slot, total)
    SELECT project_id, lifecycle_status, 0, count(*)
    FROM contract_revision
    GROUP BY project_id, lifecycle_status
"""


def id_range(part: int, parts: int) -> tuple[str | None, str]:
    """Return the bounds of one of `parts` equal ranges of run ids; the lower one is not in it."""
    size = 2**128 // parts
    last = 2**128 - 1 if part == parts - 1 else (part + 1) * size - 1
    return str(UUID(int=part * size - 1)) if part else None, str(UUID(int=last))


async def derive_runs(database_url: str, generation: str, part: int, parts: int) -> None:
    """Compute the runs of one of `parts` equal ranges of ids, many a transaction.

    Runs computed before, by a rebuild that was killed, are computed again and change nothing.
    """
    after, last = id_range(part, parts)
    async with (
        record.belonging(database_url, generation),
        connected(database_url) as connection,
    ):
        await _enter(connection, generation)
        while runs := await connection.fetch(NEXT_RUNS, after, last, RUNS_AT_ONCE):
            ids = [row["run_id"] for row in runs]
            async with connection.transaction():
                await derive(connection, set(ids), slot=part)
            after = ids[-1]


async def finish(connection: Connection, generation: str) -> None:
    """Count contract revisions, have the planner know what was computed, let autovacuum in.

    What was copied the planner knows since that was settled.
    """
    await _enter(connection, generation)
    async with connection.transaction():
        await connection.execute("DELETE FROM contract_counter")
        await connection.execute(COUNT_CONTRACTS)
    for table in read_model.metadata.sorted_tables:
        # what readers look up by an index alone needs the visibility map, too
        if table.name in COPIED:
            await connection.execute(f"ALTER TABLE {table.name} RESET (autovacuum_enabled)")
            await connection.execute(f"VACUUM {table.name}")
        else:
            columns = ", ".join(searched(table))
            await connection.execute(f"VACUUM (ANALYZE) {table.name} ({columns})")


async def _enter(connection: Connection, generation: str) -> None:
    await connection.execute("SET TIME ZONE 'UTC'")
    await connection.execute(f"SET jit = off; SET search_path = {schema_of(generation)}")
