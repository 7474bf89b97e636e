"""Which runs a page shows: their keys in order, each from the index that has them in it.

Newest first is the order of every index here, so a page is the front of an index range, or of
a few ranges merged: never more rows than the page has are sorted for each range.
"""

from dataclasses import replace
from typing import Final, NamedTuple
from uuid import UUID

from pydantic import AwareDatetime

from api.queries.arguments import Arguments, every
from api.queries.run_filter import RunFilter

NEWEST_FIRST: Final = "ORDER BY created_at DESC, run_id DESC"
PROJECT_STATE_STATUS: Final = ["project_id", "state", "status"]


class RunKey(NamedTuple):
    """Where a run stands in the list."""

    created_at: AwareDatetime
    run_id: UUID


class Slice(NamedTuple):
    """Which part of a list is asked for."""

    after: RunKey | None
    """The last row of the page before, with a cursor."""
    offset: int
    """How many rows come before, with a page number."""
    limit: int


def keys(bind: Arguments, where: RunFilter, part: Slice, combination: str) -> str:
    """Return the statement for the keys of a page, and of one row more if there is one.

    `combination` is the name under which the statement has the combinations of all time.
    """
    many = bind.bind(part.offset + part.limit + 1, "bigint")
    offset = bind.bind(part.offset, "bigint")
    source = _source(bind, where, part, many, combination)
    return f"{source} {NEWEST_FIRST} OFFSET {offset} LIMIT {many} - {offset}"


def _source(bind: Arguments, where: RunFilter, part: Slice, many: str, combination: str) -> str:
    if where.incident is not None:
        conditions = [f"r.incident = {bind.bind(where.incident, 'text')}", *where.chosen(bind, "r")]
        return _range(bind, where, part, "run_incident", conditions)
    if where.is_by_status:
        # Without a choice of projects the index by state and status alone has longer ranges.
        columns = ["state", "status"] if where.projects is None else PROJECT_STATE_STATUS
        ranges = f"SELECT DISTINCT {', '.join(columns)} FROM {combination}"
    elif where.projects is not None:
        columns = ["project_id"]
        ranges = f"SELECT unnest({bind.bind(where.projects, 'text[]')}) AS project_id"
    else:
        return _range(bind, where, part, "run", [])
    same = [f"r.{column} = c.{column}" for column in columns]
    return f"""
        SELECT k.created_at, k.run_id
        FROM ({ranges}) AS c
        CROSS JOIN LATERAL (
            {_range(bind, where, part, "run", same)} {NEWEST_FIRST} LIMIT {many}
        ) AS k
    """


def _range(
    bind: Arguments, where: RunFilter, part: Slice, table: str, conditions: list[str]
) -> str:
    """Return the statement for the keys in one range of an index, to be put in order."""
    if part.after and where.before and part.after.created_at < where.before:
        # of two ends an index scan may start at the wider one, and pass over all between them
        where = replace(where, before=None)
    within = [*conditions, *where.ranged(bind, "r"), *_after(bind, part)]
    return f"SELECT r.created_at, r.run_id FROM {table} r WHERE {every(within)}"


def _after(bind: Arguments, part: Slice) -> list[str]:
    if part.after is None:
        return []
    created_at = bind.bind(part.after.created_at, "timestamptz")
    run_id = bind.bind(part.after.run_id, "uuid")
    return [f"(r.created_at, r.run_id) < ({created_at}, {run_id})"]
