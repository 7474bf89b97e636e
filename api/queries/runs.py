"""The run list: a page of runs with their remediation summaries, and the counts of its filters."""

from dataclasses import dataclass
from typing import Final

from api.queries.arguments import Arguments
from api.queries.run_filter import RunFilter
from api.queries.run_keys import RunKey, Slice, keys
from api.queries.run_totals import combinations, total
from api.reading import Snapshot

# What is listed of a run and its summary are JSON objects already: the one goes into the other.
# A page after the last one reads no index to its end: the total tells that it is empty.
PAGE: Final = """
    -- runs: a page of the run list
    WITH combination AS ({combinations}),
    whole AS MATERIALIZED (SELECT {total} AS total),
    key AS MATERIALIZED (SELECT * FROM ({keys}) AS k WHERE (SELECT total FROM whole) > {offset}),
    shown AS (SELECT * FROM key ORDER BY created_at DESC, run_id DESC LIMIT {limit})
    SELECT
        (SELECT '[' || coalesce(string_agg(
            left(r.listing::text, -1) || ',"remediation_summary":' || r.summary::text || '}}',
            ',' ORDER BY shown.created_at DESC, shown.run_id DESC), '') || ']'
        FROM shown JOIN run r ON r.run_id = shown.run_id) AS runs,
        whole.total,
        last.created_at,
        last.run_id
    FROM whole
    LEFT JOIN (SELECT * FROM shown ORDER BY created_at, run_id LIMIT 1) AS last
        ON (SELECT count(*) FROM key) > {limit}
"""

COUNTS: Final = """
    -- run counts: how many runs each combination of the filters has
    SELECT '[' || coalesce(string_agg(row_to_json(count)::text, ','
        ORDER BY project_id, state, remediation_status), '') || ']' AS counts
    FROM (
        SELECT project_id, state, status AS remediation_status, total
        FROM ({combinations}) AS combination
    ) AS count
"""


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of the run list."""

    runs: str
    """JSON array."""
    total: int
    last: RunKey | None
    """Where the next page starts; None on the last one."""
    as_of: str | None


async def page(snapshot: Snapshot, where: RunFilter, part: Slice) -> RunPage:
    """Return the runs that `where` finds, newest first, and how many there are in all."""
    bind = Arguments()
    statement = PAGE.format(
        combinations=combinations(bind, where),
        total=total(bind, where, "combination"),
        keys=keys(bind, where, part, "combination"),
        offset=bind.bind(part.offset, "bigint"),
        limit=bind.bind(part.limit, "bigint"),
    )
    row = await snapshot.one(statement, *bind)
    last = RunKey(row["created_at"], row["run_id"]) if row["run_id"] else None
    return RunPage(row["runs"], row["total"], last, row["as_of"])


async def counts(snapshot: Snapshot, projects: list[str] | None) -> tuple[str, str | None]:
    """Return the numbers of runs by project, state and status as a JSON array, and `as_of`."""
    bind = Arguments()
    where = RunFilter(projects)
    row = await snapshot.one(COUNTS.format(combinations=combinations(bind, where)), *bind)
    return row["counts"], row["as_of"]
