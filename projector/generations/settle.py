"""From copied facts to complete views: one row an entity, keys and indexes, then what follows."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex

from contracts.read_model import metadata
from projector.database import connected
from projector.dependencies import Connection
from projector.generations import schema
from projector.generations.schema import ddl, schema_of
from projector.writing.recompute import derive
from projector.writing.upsert import VERSION

COPIED: Final = (
    "run_fact",
    "run_state",
    "item",
    "inbound",
    "evidence",
    "project",
    "contract_revision",
)
"""Tables that are filled by copying, and have no key and no index until they are settled."""

SHARES: Final = (("item",), tuple(table for table in COPIED if table != "item"))
"""Tables that are settled at once: items are more than all the others."""

HAS_KEY: Final = """
    SELECT count(*) FROM pg_constraint
    WHERE contype = 'p' AND conrelid = to_regclass($1)
"""

ROOM: Final = """
    SELECT set_config(name, '128MB', true)
    FROM pg_settings
    WHERE name IN ('work_mem', 'maintenance_work_mem') AND setting::bigint < 131072
"""
"""Memory to find losers by hashing, and to sort an index's keys, without files."""

LOSERS: Final = """
    DELETE FROM {table}
    WHERE ctid = ANY (ARRAY (
        SELECT ctid
        FROM (
            SELECT ctid, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS place
            FROM {table}
            WHERE ({key}) IN (SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1)
        ) AS ranked
        WHERE place > 1
    ))
"""

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


def loosen(name: str) -> Iterator[str]:
    """Yield the statements that make a new generation ready for copying: no key, no index."""
    for table in map(metadata.tables.__getitem__, COPIED):
        target = f"{schema_of(name)}.{table.name}"
        # it would look at half a table, and hold `settle` up until it is cancelled
        yield f"ALTER TABLE {target} SET (autovacuum_enabled = off)"
        yield f"ALTER TABLE {target} DROP CONSTRAINT {table.name}_pkey"
        for index in table.indexes:
            yield f"DROP INDEX {schema_of(name)}.{index.name}"


async def settle_tables(database_url: str, generation: str, tables: Sequence[str]) -> None:
    """Leave of every entity the row of the greatest version; make keys, indexes, statistics.

    A table is settled in one transaction, so that a rebuild that was killed finds it either as
    it was copied or done.
    """
    async with connected(database_url) as connection:
        await schema.join(connection, generation)
        for table in tables:
            if await connection.fetchval(HAS_KEY, f"{schema_of(generation)}.{table}"):
                continue
            async with connection.transaction():
                await connection.execute(ROOM)
                for statement in _settling(generation, metadata.tables[table]):
                    await connection.execute(statement)


def _settling(name: str, table: Table) -> Iterator[str]:
    target = f"{schema_of(name)}.{table.name}"
    key = ", ".join(column.name for column in table.primary_key.columns)
    versioned = [column for column in VERSION if column in table.columns]
    order = ", ".join(f"{column} DESC" for column in versioned) or key
    yield LOSERS.format(table=target, key=key, order=order)
    yield f"ALTER TABLE {target} ADD CONSTRAINT {table.name}_pkey PRIMARY KEY ({key})"
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield ddl(CreateIndex(index), schema_of(name))
    yield f"ANALYZE {target} ({', '.join(_searched(table))})"


async def derive_runs(database_url: str, generation: str, part: int, parts: int) -> None:
    """Compute the runs of one of `parts` equal ranges of ids, many a transaction.

    Runs computed before, by a rebuild that was killed, are computed again and change nothing.
    """
    after, last = _id_range(part, parts)
    async with connected(database_url) as connection:
        await schema.join(connection, generation)
        await _enter(connection, generation)
        while runs := await connection.fetch(NEXT_RUNS, after, last, RUNS_AT_ONCE):
            ids = [row["run_id"] for row in runs]
            async with connection.transaction():
                await derive(connection, set(ids), slot=part)
            after = ids[-1]


def _id_range(part: int, parts: int) -> tuple[str | None, str]:
    """Return the bounds of one of `parts` equal ranges of run ids; the lower one is not in it."""
    size = 2**128 // parts
    last = 2**128 - 1 if part == parts - 1 else (part + 1) * size - 1
    return str(UUID(int=part * size - 1)) if part else None, str(UUID(int=last))


async def finish(connection: Connection, generation: str) -> None:
    """Count contract revisions, have the planner know what was computed, let autovacuum in.

    What was copied the planner knows since that was settled.
    """
    await _enter(connection, generation)
    async with connection.transaction():
        await connection.execute("DELETE FROM contract_counter")
        await connection.execute(COUNT_CONTRACTS)
    for table in metadata.sorted_tables:
        # what readers look up by an index alone needs the visibility map, too
        if table.name in COPIED:
            await connection.execute(f"ALTER TABLE {table.name} RESET (autovacuum_enabled)")
            await connection.execute(f"VACUUM {table.name}")
        else:
            columns = ", ".join(_searched(table))
            await connection.execute(f"VACUUM (ANALYZE) {table.name} ({columns})")


def _searched(table: Table) -> list[str]:
    """Return the columns that rows are looked up by: the planner need not know of the others.

    Long texts, which nobody searches, are most of the work of an ANALYZE.
    """
    keys = {column.name for column in table.primary_key.columns}
    for index in table.indexes:
        keys |= {column.name for column in index.columns}
    return sorted(keys)


async def _enter(connection: Connection, generation: str) -> None:
    await connection.execute("SET TIME ZONE 'UTC'")
    await connection.execute(f"SET jit = off; SET search_path = {schema_of(generation)}")
