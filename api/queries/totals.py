"""How many runs a filter finds, exactly, from stored counts.

Counts are stored for all time and for buckets of several widths (`contracts.buckets`). A range of
time is made of a few buckets, and of two edges shorter than any bucket, whose rows are counted.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from api.queries.run_filter import RunParameters
from api.reading import Arguments, every
from contracts import buckets
from contracts.buckets import ORIGIN, Level

END: Final = datetime.max.replace(tzinfo=UTC)
"""The last instant that Python has."""

OF_ALL_TIME: Final = [f"c.level = {buckets.OF_ALL_TIME}", "c.bucket = '-infinity'"]

# A slot may be below zero and another above it: only their sum counts.
COMBINATIONS: Final = """
    SELECT c.project_id, c.state, c.status, sum(c.total)::bigint AS total
    FROM run_counter c WHERE {within}
    GROUP BY c.project_id, c.state, c.status HAVING sum(c.total) > 0
"""

OF_INCIDENT: Final = """
    (SELECT coalesce(sum(c.total), 0)::bigint FROM incident_counter c WHERE {within})
"""

BUCKETS: Final = """
    (SELECT coalesce(sum(w.sign * part.total), 0)::bigint
    FROM unnest({levels}, {starts}, {ends}, {signs}) AS w (level, start, "end", sign)
    CROSS JOIN LATERAL (
        SELECT sum(c.total) AS total FROM {table} c
        WHERE c.level = w.level AND c.bucket >= w.start AND c.bucket < w."end" AND {within}
    ) AS part)
"""

EDGES: Final = """
    (SELECT coalesce(sum(e.sign * part.total), 0)::bigint
    FROM unnest({starts}, {ends}, {signs}) AS e (start, "end", sign)
    CROSS JOIN LATERAL (
        SELECT count(*) AS total FROM {table} r
        WHERE r.created_at >= e.start AND r.created_at < e."end" AND {within}
    ) AS part)
"""


def combinations(bind: Arguments, where: RunParameters) -> str:
    """Return the statement for the (project, state, status) there are, and how many of each."""
    return COMBINATIONS.format(within=every([*OF_ALL_TIME, *where.chosen(bind, "c")]))


def total(bind: Arguments, where: RunParameters) -> str:
    """Return the expression for the number of runs that `where` finds.

    The statement has its `combinations` under the name `combination`.
    """
    if where.created_before is not None:
        return _within(bind, where, where.created_after or ORIGIN, where.created_before)
    if where.incident_id is not None:
        within = every([*OF_ALL_TIME, *where.of_incident(bind, "c")])
        everything = OF_INCIDENT.format(within=within)
    else:
        everything = "(SELECT coalesce(sum(total), 0)::bigint FROM combination)"
    if where.created_after is None:
        return everything
    return f"({everything} - {_within(bind, where, ORIGIN, where.created_after)})"


def _within(bind: Arguments, where: RunParameters, start: datetime, end: datetime) -> str:
    is_of_incident = where.incident_id is not None
    levels = buckets.OF_INCIDENTS if is_of_incident else buckets.OF_RUNS
    windows, edges = cover(start, end, levels)
    terms = ["0::bigint"]
    if windows:
        numbers, parts = zip(*windows, strict=True)
        terms.append(
            BUCKETS.format(
                levels=bind.bind(numbers, "smallint[]"),
                table="incident_counter" if is_of_incident else "run_counter",
                within=every(where.of_incident(bind, "c")),
                **_bound(bind, parts),
            )
        )
    if edges:
        terms.append(
            EDGES.format(
                table="run_incident" if is_of_incident else "run",
                within=every(where.of_incident(bind, "r")),
                **_bound(bind, edges),
            )
        )
    return f"({' + '.join(terms)})"


class Part(NamedTuple):
    """A stretch of time that is added to others, or subtracted from them."""

    start: datetime
    end: datetime
    """The first instant after it."""
    sign: int
    """1 where it is added, -1 where it is subtracted."""


class Window(NamedTuple):
    """A part that whole buckets of one level cover."""

    level: int
    part: Part


class Cover(NamedTuple):
    """The parts that make up a range."""

    windows: list[Window]
    edges: list[Part]
    """What is less than a bucket: its rows have to be counted."""


def _bound(bind: Arguments, parts: Sequence[Part]) -> dict[str, str]:
    starts, ends, signs = zip(*parts, strict=True)
    return {
        "starts": bind.bind(starts, "timestamptz[]"),
        "ends": bind.bind(ends, "timestamptz[]"),
        "signs": bind.bind(signs, "smallint[]"),
    }


def cover(start: datetime, end: datetime, levels: Sequence[Level]) -> Cover:
    """Make a range, its start in it and its end not, of few buckets and two edges at most.

    It goes from one bound of the widest buckets to another, those nearest to its ends; narrower
    buckets add what is missing at an end, or subtract what is too much. `levels` come widest first.
    """
    made = Cover([], [])
    _make(start, end, 1, levels, made)
    return made


def _make(start: datetime, end: datetime, sign: int, levels: Sequence[Level], made: Cover) -> None:
    if start >= end:
        return
    if not levels:
        made.edges.append(Part(start, end, sign))
        return
    level, *narrower = levels
    first, last = _nearest(start, level), _nearest(end, level)
    if first >= last:
        _make(start, end, sign, narrower, made)
        return
    made.windows.append(Window(level.number, Part(first, last, sign)))
    for one, other in ((start, first), (last, end)):
        way = sign if one <= other else -sign
        _make(min(one, other), max(one, other), way, narrower, made)


def _nearest(moment: datetime, level: Level) -> datetime:
    """Return the bound of buckets that is nearest; after the last one the one before it."""
    floor = level.floor(moment)
    if moment - floor <= level.width / 2 or floor > END - level.width:
        return floor
    return floor + level.width
