"""Compute runs, links and counters of a settled generation from its facts."""

from typing import Final
from uuid import UUID

from projector.dependencies import Connection
from projector.recompute import recompute
from projector.touched import Touched

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


async def derive_runs(connection: Connection, after: str | None, last: str, slot: int) -> None:
    """Compute the runs with ids after `after` up to `last`, many a transaction.

    Runs computed before, by a rebuild that was killed, are computed again and change nothing.
    """
    while runs := await connection.fetch(NEXT_RUNS, after, last, RUNS_AT_ONCE):
        ids = [row["run_id"] for row in runs]
        async with connection.transaction():
            await recompute(connection, Touched(runs=set(ids)), slot)
        after = ids[-1]


async def count_contracts(connection: Connection) -> None:
    """Count contract revisions, once."""
    async with connection.transaction():
        await connection.execute("DELETE FROM contract_counter")
        await connection.execute(COUNT_CONTRACTS)
