"""Exact totals, moved by the difference between what was and what is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import asyncpg
from sqlalchemy import Table

from contracts import buckets
from contracts.buckets import Level
from contracts.incidents import incident_key
from contracts.read_model import contract_counter, incident_counter, run_counter
from projector.dependencies import Connection
from projector.writing.run_list import RunView
from projector.writing.upsert import columns, given

SLOTS: Final = 8
"""Rows a total is spread over, so that workers do not queue for one of them."""

RunKey: TypeAlias = tuple[int, datetime, str, str, str]
"""Level, bucket, project, state, remediation status."""

EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00Z")
"""Stands for the bucket of all time, which PostgreSQL has as minus infinity."""


def _moving(table: Table) -> str:
    """Return the statement that adds to totals: $1 is the slot, then one array a column."""
    key = [column for column in table.primary_key.columns if column.name != "slot"]
    names = ", ".join(column.name for column in key)
    selected = names.replace("bucket", "CASE WHEN level = 0 THEN '-infinity' ELSE bucket END")
    return f"""
        INSERT INTO {table.name} AS stored ({names}, slot, total)
        SELECT {selected}, $1, total
        FROM {given([*key, table.c.total], first=2)}
        ON CONFLICT ({names}, slot) DO UPDATE
        SET total = stored.total + excluded.total
    """


MOVE_RUNS: Final = _moving(run_counter)
MOVE_INCIDENTS: Final = _moving(incident_counter)
MOVE_CONTRACTS: Final = _moving(contract_counter)


async def count_runs(
    connection: Connection,
    was: Mapping[str, RunView],
    now: Mapping[str, RunView],
    slot: int,
) -> None:
    """Move the totals of runs, by time and by incident, from what was to what is."""
    runs: Counter[RunKey] = Counter()
    incidents: Counter[tuple[str, *RunKey]] = Counter()
    for run_id, view in now.items():
        old = was.get(run_id)
        if old == view:
            continue
        runs.update(run_keys(view))
        incidents.update(incident_keys(view))
        if old is not None:
            runs.subtract(run_keys(old))
            incidents.subtract(incident_keys(old))
    await _move(connection, MOVE_RUNS, runs, slot)
    await _move(connection, MOVE_INCIDENTS, incidents, slot)


async def count_contracts(
    connection: Connection, revisions: Iterable[asyncpg.Record], slot: int
) -> None:
    """Move the totals of contract revisions by the rows that `upsert` returned."""
    totals: Counter[tuple[str, str]] = Counter()
    for row in revisions:
        totals[row["project_id"], row["lifecycle_status"]] += 1
        if row["was_project_id"] is not None:
            totals[row["was_project_id"], row["was_lifecycle_status"]] -= 1
    await _move(connection, MOVE_CONTRACTS, totals, slot)


async def _move(connection: Connection, statement: str, totals: Counter[Any], slot: int) -> None:
    rows = [(*key, change) for key, change in sorted(totals.items()) if change]
    if rows:
        await connection.execute(statement, slot, *columns(rows))


def run_keys(view: RunView) -> Iterator[RunKey]:
    """Yield what a run is counted under."""
    return _keys(view, buckets.OF_RUNS)


def incident_keys(view: RunView) -> Iterator[tuple[str, *RunKey]]:
    """Yield what a run is counted under for each incident it mentions."""
    for incident in {incident_key(incident) for incident in view.incidents}:
        for key in _keys(view, buckets.OF_INCIDENTS):
            yield incident, *key


def _keys(view: RunView, levels: Sequence[Level]) -> Iterator[RunKey]:
    of = view.project_id, view.state, view.status
    yield buckets.OF_ALL_TIME, EPOCH, *of
    for level in levels:
        yield level.number, level.floor(view.created_at), *of


def moments(levels: Sequence[Level]) -> str:
    """Return the FROM item `moment` of SQL: the levels and buckets of a row's `created_at`."""
    values = [f"({buckets.OF_ALL_TIME}::smallint, '-infinity'::timestamptz)"]
    values += [
        f"({level.number}::smallint, date_bin('{level.width.total_seconds():.0f} s', created_at,"
        f" '{buckets.ORIGIN.isoformat()}'))"
        for level in levels
    ]
    return f"(VALUES {', '.join(values)}) AS moment (level, bucket)"


_OF: Final = "level, bucket, project_id, state, status"

COUNTED: Final = {
    "run_counter": (_OF, f"run CROSS JOIN LATERAL {moments(buckets.OF_RUNS)}"),
    "incident_counter": (
        f"incident, {_OF}",
        f"run_incident CROSS JOIN LATERAL {moments(buckets.OF_INCIDENTS)}",
    ),
    "contract_counter": ("project_id, lifecycle_status", "contract_revision"),
}
"""What each table of totals is keyed by, and the rows that it counts."""


def recount(table: str, within: str = "") -> str:
    """Return the query for the totals of a table that are not what a count of the rows gives.

    Its columns are the key, `stored` and `counted`; `within` are the joins and conditions that
    totals and rows must meet.
    """
    key, rows = COUNTED[table]
    return f"""
        SELECT {key}, coalesce(stored, 0)::bigint AS stored, coalesce(counted, 0) AS counted
        FROM (SELECT {key}, sum(total) AS stored FROM {table} {within} GROUP BY {key}) AS totals
        FULL JOIN (SELECT {key}, count(*) AS counted FROM {rows} {within} GROUP BY {key}) AS found
            USING ({key})
        WHERE coalesce(stored, 0) <> coalesce(counted, 0)
    """
