"""Statements made from the read model: many rows each, under the version guard."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ARRAY, Column, Table, Text
from sqlalchemy.dialects import postgresql

from contracts import read_model
from projector.projections.ranks import Rank

VERSION: Final = ("version", "event_time", "event_id")
_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]


def _source(table: Table) -> str:
    """Return a FROM item that yields one row for each element of the column arrays $1, $2 …

    An array column travels as the text of its array, since unnest would flatten it.
    """
    columns = table.columns
    arrays = ", ".join(f"${n}::{_type(c)}[]" for n, c in enumerate(columns, start=1))
    names = ", ".join(c.name for c in columns)
    return f"unnest({arrays}) AS given ({names})"


def _type(column: Column[Any]) -> str:
    if isinstance(column.type, ARRAY | Text):
        return "text"
    return _own_type(column)


def _own_type(column: Column[Any]) -> str:
    return column.type.compile(_DIALECT)


def _selected(table: Table) -> str:
    return ", ".join(
        f"given.{c.name}::text[]" if isinstance(c.type, ARRAY) else f"given.{c.name}"
        for c in table.columns
    )


@cache
def upsert(name: str) -> str:
    """Return the statement that stores winners: a row gives way only to a later version.

    It takes the rows as one array a column, and answers with the keys that the rows written
    reach, before and after (`CHANGED`).
    """
    table = read_model.metadata.tables[name]
    return _upsert(table, f"SELECT {_selected(table)} FROM {_source(table)}")


@cache
def upsert_staged(name: str) -> str:
    """Return the statement that does what `upsert` does with the rows that `stage` has taken."""
    return _upsert(read_model.metadata.tables[name], f"SELECT * FROM pg_temp.{staged(name)}")


@cache
def stage(name: str) -> str:
    """Return the statement that makes a place to copy rows of a table to, in one's own session.

    It is empty again after every transaction.
    """
    columns = read_model.metadata.tables[name].columns
    shape = ", ".join(f"{c.name} {_own_type(c)}" for c in columns)
    return f"CREATE TEMPORARY TABLE {staged(name)} ({shape}) ON COMMIT DELETE ROWS"


def staged(name: str) -> str:
    """Return the name of the place that `stage` makes."""
    return f"given_{name}"


def _upsert(table: Table, given: str) -> str:
    name = table.name
    key = ", ".join(c.name for c in table.primary_key.columns)
    rest = [c.name for c in table.columns if not c.primary_key]
    guard = ", ".join(f"stored.{c}" for c in VERSION), ", ".join(f"excluded.{c}" for c in VERSION)
    statement = f"""
        INSERT INTO {name} AS stored ({", ".join(c.name for c in table.columns)})
        {given}
        ON CONFLICT ({key}) DO UPDATE
        SET {", ".join(f"{c} = excluded.{c}" for c in rest)}
        WHERE ({guard[0]}) < ({guard[1]})
    """
    if name not in CHANGED:
        return statement
    returning, wanted = CHANGED[name]
    return f"WITH changed AS ({statement} RETURNING {returning}) SELECT * FROM changed {wanted}"


CHANGED: Final = {
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
"""What storing rows says of those that changed, and which of them matter to anything derived."""


def columns(rows: list[Any]) -> list[Sequence[Any]]:
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
