"""The generations that are there: what is known of each, and how one is dropped."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from contracts.errors import OperationError
from projector.errors import NotMigrated, UnknownGeneration
from projector.generations import record
from projector.generations.activation import ACTIVE
from projector.generations.schema import schema_of

LIST: Final = """
    SELECT g.name, g.name = active.name AS is_active, g.complete, g.as_of, g.read_model,
        g.created_at, g.activated_at, r.phase, r.error, runfold.is_rebuilding(g.name) AS is_running,
        (
            SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
            FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = g.schema_name AND c.relkind = 'r'
        ) AS bytes
    FROM runfold.generation AS g
    LEFT JOIN runfold.active_generation AS active ON true
    LEFT JOIN runfold.rebuild AS r ON r.generation = g.name
    ORDER BY g.created_at, g.name
"""

EXISTS: Final = "SELECT count(*) FROM runfold.generation WHERE name = $1"

KEPT_BY: Final = """
    SELECT worker_id
    FROM runfold.worker
    WHERE generation = $1 AND seen_at > clock_timestamp() - interval '30 seconds'
    ORDER BY worker_id
"""

QUEUE: Final = "SET LOCAL lock_timeout = '5s'"
"""How long it may queue behind who reads the generation: who comes after it waits, too."""
FORGET: Final = "DELETE FROM runfold.generation WHERE name = $1"


READ: Final = (
    "somebody is reading it; see pg_stat_activity for the transaction, and try it again when it has"
    " ended"
)


class GenerationInUse(OperationError):
    """The generation is still needed."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"generation {name!r} is not dropped: {why}")


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of views."""

    name: str
    is_active: bool
    complete: bool
    as_of: datetime | None
    """The instant it shows; None goes on with what comes."""
    read_model: int
    created_at: datetime
    activated_at: datetime | None
    phase: str | None
    """How far its rebuild has come; None when it was not made by one."""
    error: str | None
    """What ended its rebuild the last time."""
    is_running: bool
    bytes: int
    """Room it takes, indexes and all."""

    @property
    def state(self) -> str:
        """What can be done with it, in a word or two."""
        if self.is_active:
            return "active"
        if not self.complete:
            return "being rebuilt" if self.is_running else "incomplete"
        return "as of an instant" if self.as_of else "standing by"


async def generations(connection: asyncpg.Connection) -> list[Generation]:
    """Return all generations, oldest first. Raises `NotMigrated`."""
    try:
        rows = await connection.fetch(LIST)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise NotMigrated from error
    return [Generation(**row) for row in rows]


async def drop(connection: asyncpg.Connection, name: str) -> None:
    """Drop a generation and all that is known of it, also what a killed rebuild has left.

    Raises `UnknownGeneration`, `RebuildRunning`, and `GenerationInUse` when it is the active one,
    a worker keeps it up to date, or somebody goes on for long with reading it.
    """
    # it cannot become active meanwhile: that takes the same lock
    await record.lock(connection, name)
    async with connection.transaction():
        if not await connection.fetchval(EXISTS, name):
            raise UnknownGeneration(name)
        if await connection.fetchval(ACTIVE) == name:
            raise GenerationInUse(name, "it is the active one; activate another one first")
        if workers := await connection.fetch(KEPT_BY, name):
            named = ", ".join(row["worker_id"] for row in workers)
            raise GenerationInUse(name, f"it is kept up to date by {named}; stop that first")
        await connection.execute(QUEUE)
        try:
            await connection.execute(f"DROP SCHEMA {schema_of(name)} CASCADE")
        except asyncpg.LockNotAvailableError as error:
            raise GenerationInUse(name, READ) from error
        await connection.execute(FORGET, name)
