"""In which runs, and in which of their fields, two generations differ."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import Table

from contracts.read_model import metadata
from projector.database import connected
from projector.dependencies import Connection
from projector.generations.schema import positions, resolve, schema_of

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

ROWS_AT_ONCE: Final = 500
"""Rows held at a time, however many differ."""

SUBJECTS: Final = ("run_id", "incident_id", "project_id")
"""What a row is about, the first of these that it has."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that two generations do not have alike."""

    table: str
    key: str
    subject: str
    """The run it shows in, or the incident or project it is about: `run 1b4e…`, or `no run`."""
    fields: tuple[str, ...]
    """Paths of the fields that differ; empty when one generation has no such row."""
    only_in: str | None
    """The generation that has the row, when the other has none."""

    def is_among(self, expected: Sequence[str]) -> bool:
        """Whether these paths cover every field that differs: `run.summary`, or `run` for all."""
        fields = [f"{self.table}.{field}" for field in self.fields] or [self.table]
        return all(any(f"{field}.".startswith(f"{each}.") for each in expected) for field in fields)

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

    def add(self, difference: Difference) -> None:
        """Count a row that differs, and name it unless enough of its table are."""
        found = self.totals[difference.table] = self.totals.get(difference.table, 0) + 1
        if found <= MOST_NAMED:
            self.named.append(difference)


async def compare(database_url: str, one: str, other: str) -> tuple[Diff, int]:
    """Return in what two generations differ, and how many events apart they stand.

    Raises what `schema.resolve` raises.
    """
    async with (
        connected(database_url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for name in (one, other):
            await resolve(connection, name)
        left, right = await positions(connection, one), await positions(connection, other)
        apart = sum(abs(left.get(p, 0) - right.get(p, 0)) for p in left.keys() | right.keys())
        return await diff(connection, one, other), apart


async def diff(connection: Connection, one: str, other: str) -> Diff:
    """Compare two generations by name; of each table the first rows are named."""
    found = Diff()
    async for difference in differences(connection, one, other):
        found.add(difference)
    return found


async def differences(connection: Connection, one: str, other: str) -> AsyncIterator[Difference]:
    """Yield all rows in which two generations differ, a few at a time.

    Belongs into a transaction of one snapshot: generations are alike only at the same positions.
    """
    for name in COMPARED:
        statement = _statement(metadata.tables[name], one, other)
        async for row in connection.cursor(statement, prefetch=ROWS_AT_ONCE):
            yield _difference(name, row, one, other)


def _statement(table: Table, one: str, other: str) -> str:
    keys = ", ".join(column.name for column in table.primary_key.columns)
    # columns are compared as text, as rows are: JSON that means the same may be written otherwise
    return f"""
        SELECT concat_ws(' ', {keys}) AS key, to_jsonb(a) AS one, to_jsonb(b) AS other,
            ARRAY (
                SELECT name
                FROM json_each(to_json(a)) AS l (name, value)
                FULL JOIN json_each(to_json(b)) AS r (name, value) USING (name)
                WHERE l.value::text IS DISTINCT FROM r.value::text
                ORDER BY name
            ) AS columns
        FROM {schema_of(one)}.{table.name} AS a
        FULL JOIN {schema_of(other)}.{table.name} AS b USING ({keys})
        WHERE a::text IS DISTINCT FROM b::text
        ORDER BY {keys}
    """


def _difference(table: str, row: Any, one: str, other: str) -> Difference:
    left, right = (None if row[side] is None else orjson.loads(row[side]) for side in SIDES)
    known: dict[str, Any] = left or right or {}
    subject = next((name for name in SUBJECTS if known.get(name) is not None), None)
    return Difference(
        table=table,
        key=row["key"],
        subject=f"{subject.removesuffix('_id')} {known[subject]}" if subject else "no run",
        fields=tuple(_fields(row["columns"], left, right)) if left and right else (),
        only_in=None if left and right else (one if left else other),
    )


SIDES: Final = ("one", "other")


def _fields(columns: Iterable[str], one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """Yield the paths that differ in columns whose text does, or the column if it is the text."""
    for name in columns:
        yield from [*paths(one.get(name, ...), other.get(name, ...), name)] or [name]


def paths(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths at which two JSON values differ: `summary.status`, `incidents`.

    `...` stands for a value that is not there, which is not null; true is not 1.
    """
    if not (isinstance(one, dict) and isinstance(other, dict)):
        if type(one) is not type(other) or one != other:
            yield prefix
        return
    for name in sorted(one.keys() | other.keys()):
        path = f"{prefix}.{name}" if prefix else name
        yield from paths(one.get(name, ...), other.get(name, ...), path)
