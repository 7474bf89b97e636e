"""In which runs, and in which of their fields, two generations differ."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import Table

from contracts.read_model import metadata
from projector.dependencies import Connection
from projector.generations import schema_of

COMPARED: Final = (
    "run",
    "run_fact",
    "run_state",
    "item",
    "inbound",
    "evidence",
    "run_incident",
    "project",
    "contract_revision",
)
"""Views and facts. Positions tell how a generation was read, not what it says; counters are
compared with what they count by `runfold audit`."""

MOST_NAMED: Final = 100
"""Rows of a table that are named one by one."""

SUBJECTS: Final = ("run_id", "incident_id", "project_id")
"""What a row is about, the first of these that it has."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that two generations do not have alike."""

    table: str
    key: str
    subject: str
    """The run it shows in, or the incident or project it is about: `run 1b4e…`."""
    fields: tuple[str, ...]
    """Paths of the fields that differ; empty when one generation has no such row."""
    only_in: str | None
    """The generation that has the row, when the other has none."""

    def __str__(self) -> str:
        where = f"{self.subject}: {self.table} {self.key}"
        if self.only_in is not None:
            return f"{where} is only in {self.only_in}"
        return f"{where} differs in {', '.join(self.fields)}"


@dataclass(slots=True)
class Diff:
    """All that differs, counted, and the first of it named."""

    totals: dict[str, int] = field(default_factory=dict)
    """Rows that differ, by table; tables without any are left out."""
    named: list[Difference] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Rows that differ, in all tables."""
        return sum(self.totals.values())


async def diff(connection: Connection, one: str, other: str, most: int = MOST_NAMED) -> Diff:
    """Compare two generations by name, naming at most `most` rows of a table.

    Belongs into a transaction of one snapshot: generations are alike only at the same positions.
    """
    found = Diff()
    for name in COMPARED:
        rows = await connection.fetch(_statement(metadata.tables[name], one, other), most)
        if rows:
            found.totals[name] = rows[0]["total"]
        found.named += [_difference(name, row, one, other) for row in rows]
    return found


def _statement(table: Table, one: str, other: str) -> str:
    keys = ", ".join(column.name for column in table.primary_key.columns)
    return f"""
        SELECT concat_ws(' ', {keys}) AS key, to_jsonb(a) AS one, to_jsonb(b) AS other,
            count(*) OVER () AS total
        FROM {schema_of(one)}.{table.name} AS a
        FULL JOIN {schema_of(other)}.{table.name} AS b USING ({keys})
        WHERE a::text IS DISTINCT FROM b::text
        ORDER BY {keys}
        LIMIT $1
    """


def _difference(table: str, row: Any, one: str, other: str) -> Difference:
    left, right = (None if row[side] is None else orjson.loads(row[side]) for side in SIDES)
    known: dict[str, Any] = left or right or {}
    subject = next(name for name in SUBJECTS if known.get(name) is not None)
    return Difference(
        table=table,
        key=row["key"],
        subject=f"{subject.removesuffix('_id')} {known[subject]}",
        fields=tuple(paths(left, right)) if left and right else (),
        only_in=None if left and right else (one if left else other),
    )


SIDES: Final = ("one", "other")


def paths(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths at which two JSON values differ: `summary.status`, `incidents`."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        if one != other:
            yield prefix
        return
    for name in sorted(one.keys() | other.keys()):
        path = f"{prefix}.{name}" if prefix else name
        yield from paths(one.get(name), other.get(name), path)
