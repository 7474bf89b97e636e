"""Generations: one complete set of views each, in a PostgreSQL schema of its own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from contracts import read_model
from contracts.errors import OperationError
from contracts.keys import GENERATION_NAME
from contracts.read_model import (
    ALL_PROJECTS_SETTING,
    PROJECTS_SETTING,
    READER_ROLE,
    WRITER_ROLE,
)
from contracts.times import rfc3339
from projector.dependencies import Connection
from projector.errors import GenerationOutdated, NotMigrated, UnknownGeneration
from projector.writing.batch import Partition

NAME: Final = re.compile(GENERATION_NAME)

ALL_PROJECTS: Final = f"(SELECT current_setting('{ALL_PROJECTS_SETTING}', true) = 'on')"
# A setting that was local to an earlier transaction comes back as '', not as NULL.
OWN_PROJECT: Final = (
    f"project_id = ANY ((SELECT nullif(current_setting('{PROJECTS_SETTING}', true), ''))::text[])"
)
BY_PROJECT: Final = f"{ALL_PROJECTS} OR {OWN_PROJECT}"

READABLE: Final[dict[str, str]] = {
    "position": "true",
    "evidence": f"project_id IS NULL OR {BY_PROJECT}",
}
"""Which rows a reader may see, where it is not simply those of its projects."""

FIND: Final = """
    SELECT g.name, g.read_model, g.complete, g.as_of
    FROM runfold.generation g
    WHERE g.name = coalesce($1, (SELECT name FROM runfold.active_generation))
"""

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

POSITIONS: Final = """
    SELECT topic, partition, next_offset FROM {schema}.position WHERE partition >= 0
"""

REBUILDING: Final = 0x72756E11
"""Class of the advisory locks that rebuilds hold while they run, one a name: `is_rebuilding`."""
MEMBERS: Final = 0x72756E12
"""Class of the advisory locks that all sessions share that write to a generation being built."""

TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1::int, hashtext($2))"
OUTLIVE: Final = "SELECT pg_advisory_xact_lock($1::int, hashtext($2))"
JOIN: Final = "SELECT pg_advisory_lock_shared($1::int, hashtext($2))"
NOTICE_CLIENT: Final = "SET client_connection_check_interval = '1s'"
LAST_SECONDS: Final = 60
"""How long the sessions of a killed rebuild may take to end."""

IS_ACTIVE: Final = """
    SELECT g.name = active.name
    FROM runfold.generation AS g
    JOIN runfold.active_generation AS active ON true
    WHERE g.name = $1
"""
QUEUE: Final = "SET LOCAL lock_timeout = '5s'"
"""How long a drop may queue behind readers of the generation: later readers queue behind it."""
FORGET: Final = "DELETE FROM runfold.generation WHERE name = $1"
FORGET_LETTERS: Final = """
    UPDATE runfold.dead_letter SET generations = array_remove(generations, $1)
    WHERE $1 = ANY(generations)
"""
PRUNE_LETTERS: Final = "DELETE FROM runfold.dead_letter WHERE generations = '{}'"


def schema_of(name: str) -> str:
    """Return the schema that holds the views of the generation called `name`."""
    return f"g_{name}"


def creation(name: str, *, complete: bool, as_of: datetime | None = None) -> Iterator[str]:
    """Yield the statements that create a generation, ready for rows and safe to read.

    `name` must match `NAME`. Row-level security lets the reader role see the projects its
    transaction names and nothing else (the API's "Who may see what"); only the writer writes.
    One that is not `complete` is being rebuilt; one `as_of` an instant leaves out what came later.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"generation name {name!r}: use 1 to 40 of a-z, 0-9 and _")
    schema = schema_of(name)
    moment = f"'{as_of.isoformat()}'" if as_of else "NULL"
    yield f"CREATE SCHEMA {schema}"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {WRITER_ROLE}, {READER_ROLE}"
    for table in read_model.metadata.sorted_tables:
        yield from _table(schema, table)
    yield read_model.PROGRESS.format(schema=schema, generation=name)
    yield (
        "INSERT INTO runfold.generation (name, schema_name, read_model, complete, as_of)"
        f" VALUES ('{name}', '{schema}', {read_model.VERSION}, {complete},"
        f" {moment})"
    )


def ddl(element: ExecutableDDLElement, schema: str) -> str:
    """Return the statement that creates a table or an index in this schema."""
    compiled = element.compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
        schema_translate_map={None: schema},
        render_schema_translate=True,
    )
    return str(compiled)


def _table(schema: str, table: Table) -> Iterator[str]:
    target = f"{schema}.{table.name}"
    yield ddl(CreateTable(table), schema)
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield ddl(CreateIndex(index), schema)
    yield f"ALTER TABLE {target} ENABLE ROW LEVEL SECURITY"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {target} TO {WRITER_ROLE}"
    yield f"CREATE POLICY writer ON {target} TO {WRITER_ROLE} USING (true) WITH CHECK (true)"
    readable = READABLE.get(table.name, BY_PROJECT)
    yield f"GRANT SELECT ON {target} TO {READER_ROLE}"
    yield f"CREATE POLICY reader ON {target} FOR SELECT TO {READER_ROLE} USING ({readable})"


async def resolve(connection: Connection, name: str | None = None) -> str:
    """Return the name of the active generation, or `name` once it is known to be usable.

    Raises `NotMigrated` on an empty database, `UnknownGeneration`, and `GenerationOutdated`
    when the generation was made with another version of the read model.
    """
    return str((await _found(connection, name))["name"])


async def resolve_current(connection: Connection, name: str) -> None:
    """Make sure that a generation has all history and can take new events.

    Raises what `resolve` raises, and `OperationError` when it is incomplete or as of an instant.
    """
    row = await _found(connection, name)
    if row["as_of"] is not None:
        raise OperationError(
            f"generation {name!r} is as of {rfc3339(row['as_of'])}: it leaves out what came later"
            " and can be neither activated nor kept up to date"
        )
    if not row["complete"]:
        raise OperationError(
            f"generation {name!r} is not complete: resume it with"
            f" `runfold rebuild --name {name} --resume`"
        )


async def _found(connection: Connection, name: str | None) -> asyncpg.Record:
    with migrated():
        row = await connection.fetchrow(FIND, name)
    if row is None:
        raise UnknownGeneration(name) if name else NotMigrated
    if row["read_model"] != read_model.VERSION:
        raise GenerationOutdated(row["name"], row["read_model"], read_model.VERSION)
    return row


@contextmanager
def migrated() -> Iterator[None]:
    """Raise `NotMigrated` when a statement in the block finds no runfold schema."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise NotMigrated from error


async def positions(connection: Connection, name: str) -> dict[Partition, int]:
    """Return the next offset of each partition that a generation has read."""
    rows = await connection.fetch(POSITIONS.format(schema=schema_of(name)))
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


@dataclass(frozen=True, slots=True)
class Generation:
    """What is known of one generation."""

    name: str
    is_active: bool
    complete: bool
    as_of: datetime | None
    """The instant it shows; None takes in new events."""
    read_model: int
    created_at: datetime
    activated_at: datetime | None
    phase: str | None
    """How far its rebuild has come; None when no rebuild made it."""
    error: str | None
    """What ended its rebuild the last time."""
    is_running: bool
    bytes: int
    """Size on disk, with indexes."""

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
    with migrated():
        rows = await connection.fetch(LIST)
    return [Generation(**row) for row in rows]


async def lock(connection: asyncpg.Connection, name: str) -> None:
    """Lock a generation against rebuilds, activation and dropping until the connection closes.

    Sessions that a killed rebuild has left have written their last when this returns. Raises
    `OperationError` when a rebuild of this name is running, or such sessions do not end.
    """
    running = f"a rebuild of generation {name!r} is running: see `runfold status`"
    if not await connection.fetchval(TRY_LOCK, REBUILDING, name):
        raise OperationError(running)
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LAST_SECONDS}s'")
            await connection.execute(OUTLIVE, MEMBERS, name)
    except asyncpg.LockNotAvailableError as error:
        raise OperationError(running) from error


async def join(connection: asyncpg.Connection, name: str) -> None:
    """Make a session one that writes to a generation being built: `lock` waits for its end.

    It ends with its client, even in the middle of a statement.
    """
    with suppress(asyncpg.InvalidParameterValueError):  # a platform without it
        await connection.execute(NOTICE_CLIENT)
    await connection.execute(JOIN, MEMBERS, name)


async def drop(connection: asyncpg.Connection, name: str) -> None:
    """Drop a generation and all that is known of it, also what a killed rebuild has left.

    Raises `UnknownGeneration`, and `OperationError` when it is the active one, its rebuild is
    running, or a long transaction reads it.
    """
    # it cannot become active meanwhile: that takes the same lock
    await lock(connection, name)
    async with connection.transaction():
        is_active = await connection.fetchval(IS_ACTIVE, name)
        if is_active is None:
            raise UnknownGeneration(name)
        if is_active:
            raise OperationError(
                f"generation {name!r} is not dropped: it is the active one; activate another one"
                " first"
            )
        await connection.execute(QUEUE)
        try:
            await connection.execute(f"DROP SCHEMA {schema_of(name)} CASCADE")
        except asyncpg.LockNotAvailableError as error:
            raise OperationError(
                f"generation {name!r} is not dropped: somebody is reading it; see pg_stat_activity"
                " for the transaction, and try it again when it has ended"
            ) from error
        await connection.execute(FORGET_LETTERS, name)
        await connection.execute(PRUNE_LETTERS)
        await connection.execute(FORGET, name)
