"""How many runs a filter finds, exactly, without counting them: from the stored counts."""

from datetime import datetime
from typing import Final

from api.queries.arguments import Arguments, every
from api.queries.run_filter import RunFilter
from api.queries.windows import Part, Window, cover
from contracts import buckets
from contracts.buckets import ORIGIN

OF_ALL_TIME: Final = [f"c.level = {buckets.OF_ALL_TIME}", "c.bucket = '-infinity'"]

NONE: Final = "0::bigint"


def combinations(bind: Arguments, where: RunFilter) -> str:
    """Return the statement for the (project, state, status) there are, and how many of each.

    A slot may be below zero and another above it: only their sum tells.
    """
    return f"""
        SELECT c.project_id, c.state, c.status, sum(c.total)::bigint AS total
        FROM run_counter c WHERE {every([*OF_ALL_TIME, *where.chosen(bind, "c")])}
        GROUP BY c.project_id, c.state, c.status HAVING sum(c.total) > 0
    """


def total(bind: Arguments, where: RunFilter, combination: str) -> str:
    """Return the expression for the number of runs that `where` finds.

    `combination` is the name under which the statement has the combinations of all time.
    """
    if where.before is not None:
        return _within(bind, where, where.after or ORIGIN, where.before)
    everything = _of_all_time(bind, where, combination)
    if where.after is None:
        return everything
    return f"({everything} - {_within(bind, where, ORIGIN, where.after)})"


def _of_all_time(bind: Arguments, where: RunFilter, combination: str) -> str:
    if where.incident is not None:
        conditions = [*OF_ALL_TIME, *_chosen(bind, where, "c")]
        return f"""
            (SELECT coalesce(sum(c.total), 0)::bigint
            FROM incident_counter c WHERE {every(conditions)})
        """
    return f"(SELECT coalesce(sum(total), 0)::bigint FROM {combination})"


def _chosen(bind: Arguments, where: RunFilter, table: str) -> list[str]:
    if where.incident is None:
        return where.chosen(bind, table)
    named = f"{table}.incident = {bind.bind(where.incident, 'text')}"
    return [named, *where.chosen(bind, table)]


def _within(bind: Arguments, where: RunFilter, start: datetime, end: datetime) -> str:
    levels = buckets.OF_RUNS if where.incident is None else buckets.OF_INCIDENTS
    windows, edges = cover(start, end, levels)
    whole = _buckets(bind, where, windows) if windows else NONE
    rest = _edges(bind, where, edges) if edges else NONE
    return f"({whole} + {rest})"


def _buckets(bind: Arguments, where: RunFilter, windows: list[Window]) -> str:
    counter = "run_counter" if where.incident is None else "incident_counter"
    levels, parts = zip(*windows, strict=True)
    starts, ends, signs = zip(*parts, strict=True)
    conditions = [
        "c.level = w.level",
        "c.bucket >= w.start",
        'c.bucket < w."end"',
        *_chosen(bind, where, "c"),
    ]
    return f"""
        (SELECT coalesce(sum(w.sign * part.total), 0)::bigint
        FROM unnest(
            {bind.bind(levels, "smallint[]")},
            {bind.bind(starts, "timestamptz[]")},
            {bind.bind(ends, "timestamptz[]")},
            {bind.bind(signs, "smallint[]")}
        ) AS w (level, start, "end", sign)
        CROSS JOIN LATERAL (
            SELECT sum(c.total) AS total FROM {counter} c WHERE {every(conditions)}
        ) AS part)
    """


def _edges(bind: Arguments, where: RunFilter, edges: list[Part]) -> str:
    rows = "run" if where.incident is None else "run_incident"
    starts, ends, signs = zip(*edges, strict=True)
    conditions = [
        "r.created_at >= e.start",
        'r.created_at < e."end"',
        *_chosen(bind, where, "r"),
    ]
    return f"""
        (SELECT coalesce(sum(e.sign * part.total), 0)::bigint
        FROM unnest(
            {bind.bind(starts, "timestamptz[]")},
            {bind.bind(ends, "timestamptz[]")},
            {bind.bind(signs, "smallint[]")}
        ) AS e (start, "end", sign)
        CROSS JOIN LATERAL (
            SELECT count(*) AS total FROM {rows} r WHERE {every(conditions)}
        ) AS part)
    """
