"""From copied facts to one row an entity, with keys and indexes."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex

from contracts import read_model
from projector.dependencies import Connection
from projector.generations import ddl, schema_of
from projector.statements import VERSION

COPIED: Final = (
    "run_fact",
    "run_state",
    "item",
    "inbound",
    "evidence",
    "project",
    "contract_revision",
)
"""Tables that are filled by copying."""

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


def loosen(name: str) -> Iterator[str]:
    """Yield the statements that make a new generation ready for copying: no key, no index."""
    for table in _copied():
        target = f"{schema_of(name)}.{table.name}"
        # it would look at half a table, and have `settle` wait until it is told to go away;
        # `derive.finish` lets it in
        yield f"ALTER TABLE {target} SET (autovacuum_enabled = off)"
        yield f"ALTER TABLE {target} DROP CONSTRAINT {table.name}_pkey"
        for index in table.indexes:
            yield f"DROP INDEX {schema_of(name)}.{index.name}"


async def settle(connection: Connection, name: str) -> None:
    """Leave of every entity the row of the greatest version; make keys, indexes, statistics.

    A table is settled in one transaction, so that a rebuild that was killed finds it either as
    it was copied or done.
    """
    for table in _copied():
        target = f"{schema_of(name)}.{table.name}"
        if await connection.fetchval(HAS_KEY, target):
            continue
        async with connection.transaction():
            await connection.execute(ROOM)
            for statement in _settling(name, table):
                await connection.execute(statement)


def searched(table: Table) -> list[str]:
    """Return the columns that rows are looked up by: the planner need not know of the others.

    Long texts, which nobody searches, are most of the work of an ANALYZE.
    """
    keys = {column.name for column in table.primary_key.columns}
    for index in table.indexes:
        keys |= {column.name for column in index.columns}
    return sorted(keys)


def _copied() -> list[Table]:
    return [read_model.metadata.tables[table] for table in COPIED]


def _settling(name: str, table: Table) -> Iterator[str]:
    target = f"{schema_of(name)}.{table.name}"
    key = ", ".join(column.name for column in table.primary_key.columns)
    versioned = [column for column in VERSION if column in table.columns]
    order = ", ".join(f"{column} DESC" for column in versioned) or key
    yield LOSERS.format(table=target, key=key, order=order)
    yield f"ALTER TABLE {target} ADD CONSTRAINT {table.name}_pkey PRIMARY KEY ({key})"
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield ddl(CreateIndex(index), schema_of(name))
    yield f"ANALYZE {target} ({', '.join(searched(table))})"
