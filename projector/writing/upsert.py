"""Store many rows of a table with one statement, under the version guard."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

import asyncpg
from sqlalchemy import ARRAY, Column, Text
from sqlalchemy.dialects import postgresql

from contracts.read_model import metadata
from projector.dependencies import Connection
from projector.projections.rows import Rank

VERSION: Final = ("version", "event_time", "event_id")
_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]

RETURNED: Final = {
    "run_fact": ("new.run_id, new.project_id, new.trigger_ref, new.trigger_event", ""),
    "item": (
        """
        new.rank, new.run_id, old.run_id AS was_run_id,
        new.incidents IS NOT NULL OR old.incidents IS NOT NULL AS mentions
        """,
        f"WHERE mentions OR rank = {Rank.DECISION:d}",
    ),
    "inbound": (
        """
        new.event_uuid, new.run_id, new.project_id, new.provider_event_id,
        old.run_id AS was_run_id, old.project_id AS was_project_id,
        old.provider_event_id AS was_provider_event_id
        """,
        "",
    ),
    "evidence": (
        "new.incident_id, old.incident_id AS was_incident_id",
        "WHERE incident_id IS NOT NULL OR was_incident_id IS NOT NULL",
    ),
    "contract_revision": (
        """
        new.project_id, new.lifecycle_status,
        old.project_id AS was_project_id, old.lifecycle_status AS was_lifecycle_status
        """,
        "",
    ),
}
"""What is returned of the rows that were written, and of which of them: what runs and counters
depend on, before and after."""

STAGE: Final = "given_item"
"""A temporary table of one's own session, empty again after every transaction."""


async def upsert(
    connection: Connection, table: str, rows: Sequence[Sequence[Any]]
) -> list[asyncpg.Record]:
    """Store rows of winners: each replaces the stored one only if its version is later.

    Returns what `RETURNED` says of the rows that were written.
    """
    return await connection.fetch(upserting(table), *columns(rows)) if rows else []


async def make_stage(connection: Connection) -> None:
    """Make the table that `stage` copies to, once a session."""
    shape = ", ".join(f"{c.name} {_type(c)}" for c in metadata.tables["item"].columns)
    await connection.execute(f"CREATE TEMPORARY TABLE {STAGE} ({shape}) ON COMMIT DELETE ROWS")


async def stage(connection: Connection, items: Sequence[Sequence[Any]]) -> None:
    """Copy items, for `upsert_staged` in the same transaction: half the cost of arrays."""
    await connection.copy_records_to_table(STAGE, schema_name="pg_temp", records=items)


async def upsert_staged(connection: Connection) -> list[asyncpg.Record]:
    """Store the items that `stage` has copied; as `upsert` otherwise."""
    return await connection.fetch(_upserting("item", f"SELECT * FROM pg_temp.{STAGE}"))


@cache
def upserting(table: str) -> str:
    """Return the statement of `upsert`, which takes one array a column."""
    all_of = metadata.tables[table].columns
    selected = ", ".join(
        f"given.{c.name}::text[]" if isinstance(c.type, ARRAY) else f"given.{c.name}"
        for c in all_of
    )
    return _upserting(table, f"SELECT {selected} FROM {given(all_of)}")


@cache
def _upserting(name: str, source: str) -> str:
    table = metadata.tables[name]
    key = ", ".join(c.name for c in table.primary_key.columns)
    stored, new = (", ".join(f"{of}.{c}" for c in VERSION) for of in ("stored", "excluded"))
    update = f"UPDATE SET {replaced(name)} WHERE ({stored}) < ({new})"
    statement = f"""
        INSERT INTO {name} AS stored ({", ".join(table.columns.keys())})
        {source}
        ON CONFLICT ({key}) DO {update if replaced(name) else "NOTHING"}
    """
    if name not in RETURNED:
        return statement
    returning, wanted = RETURNED[name]
    return f"WITH changed AS ({statement} RETURNING {returning}) SELECT * FROM changed {wanted}"


def replaced(table: str) -> str:
    """Return the assignments of an upsert that replaces all but the key."""
    rest = (c.name for c in metadata.tables[table].columns if not c.primary_key)
    return ", ".join(f"{name} = excluded.{name}" for name in rest)


def given(some: Iterable[Column[Any]], first: int = 1) -> str:
    """Return the FROM item `given`: rows from one array a column, parameters from `first` on.

    An array column travels as the text of its array, since unnest would flatten it.
    """
    types = {c.name: "text" if isinstance(c.type, ARRAY | Text) else _type(c) for c in some}
    arrays = ", ".join(f"${n}::{of}[]" for n, of in enumerate(types.values(), start=first))
    return f"unnest({arrays}) AS given ({', '.join(types)})"


def _type(column: Column[Any]) -> str:
    return column.type.compile(_DIALECT)


def columns(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return the rows as one sequence a column, arrays as their text."""
    return [_column(column) for column in zip(*rows, strict=True)]


def _column(values: Sequence[Any]) -> Sequence[Any]:
    # most columns hold no arrays, and to see that is cheaper than to look at each value
    if list not in set(map(type, values)):
        return values
    return [_array(value) if isinstance(value, list) else value for value in values]


def _array(values: list[str]) -> str:
    quoted = (v.replace("\\", "\\\\").replace('"', '\\"') for v in values)
    return "{" + ",".join(f'"{v}"' for v in quoted) + "}"
