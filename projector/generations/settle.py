"""From copied facts to one row an entity, with keys and indexes."""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex

from contracts import read_model
from projector.database import connected
from projector.dependencies import Connection
from projector.generations import record
from projector.generations.copied import COPIED, searched
from projector.generations.schema import ddl, schema_of
from projector.writing.statements import VERSION

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


async def settle_tables(database_url: str, generation: str, tables: Sequence[str]) -> None:
    """Leave of every entity the row of the greatest version; make keys, indexes, statistics.

    A table is settled in one transaction, so that a rebuild that was killed finds it either as
    it was copied or done.
    """
    async with (
        record.belonging(database_url, generation),
        connected(database_url) as connection,
    ):
        for table in tables:
            await _settle(connection, generation, read_model.metadata.tables[table])


async def _settle(connection: Connection, name: str, table: Table) -> None:
    if await connection.fetchval(HAS_KEY, f"{schema_of(name)}.{table.name}"):
        return
    async with connection.transaction():
        await connection.execute(ROOM)
        for statement in _settling(name, table):
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
    yield f"ANALYZE {target} ({', '.join(searched(table))})"
