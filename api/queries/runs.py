"""The run list: a page of runs with their remediation summaries, and the counts of its filters.

Which runs a page shows comes from an index that has them in order, newest first: a page is the
front of an index range, or of a few ranges merged. Never more rows than the page has are sorted
for each range.
"""

from typing import Final, NamedTuple
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter

from api.cursors import Cursors
from api.problems import bad_parameter
from api.queries.run_filter import CountsParameters, RunParameters
from api.queries.totals import combinations, total
from api.reading import Answer, Arguments, Snapshot, every
from api.responses import Json


class RunKey(NamedTuple):
    """Where a run stands in the list."""

    created_at: AwareDatetime
    run_id: UUID


RUN_CURSORS: Final = Cursors("runs", TypeAdapter(RunKey))

NEWEST_FIRST: Final = "ORDER BY created_at DESC, run_id DESC"

# What is listed of a run and its summary are JSON objects already: the one goes into the other.
# A page after the last one reads no index to its end: the total shows that it is empty.
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

RANGES: Final = """
    SELECT k.created_at, k.run_id
    FROM ({ranges}) AS c
    CROSS JOIN LATERAL ({each} ORDER BY created_at DESC, run_id DESC LIMIT {many}) AS k
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


async def page(snapshot: Snapshot, parameters: RunParameters) -> Answer:
    """Return the runs that the filters find, newest first, and how many there are in all."""
    bound, after = parameters.bound(), None
    if parameters.cursor is not None:
        if "page" in parameters.model_fields_set:
            raise bad_parameter({"page": "a cursor says by itself where the page starts"})
        after = RUN_CURSORS.key(parameters.cursor, bound)
    statement, bind = page_statement(parameters.seen_by(snapshot.bearer), after)
    row = await snapshot.one(statement, *bind)
    last = RunKey(row["created_at"], row["run_id"]) if row["run_id"] else None
    body = {
        "runs": Json(row["runs"]),
        "total": row["total"],
        "page": None if parameters.cursor else parameters.page,
        "per_page": parameters.per_page,
        "next_cursor": last and RUN_CURSORS.after(last, bound),
    }
    return body, row["as_of"]


async def counts(snapshot: Snapshot, parameters: CountsParameters) -> Answer:
    """Return the numbers of runs by project, state and status."""
    bind = Arguments()
    where = RunParameters(project_id=snapshot.bearer.among(parameters.project_id))
    row = await snapshot.one(COUNTS.format(combinations=combinations(bind, where)), *bind)
    return {"counts": Json(row["counts"])}, row["as_of"]


def page_statement(where: RunParameters, after: RunKey | None) -> tuple[str, Arguments]:
    """Return the statement for a page and its arguments."""
    bind = Arguments()
    statement = PAGE.format(
        combinations=combinations(bind, where),
        total=total(bind, where),
        keys=_keys(bind, where, after),
        offset=bind.bind(where.offset, "bigint"),
        limit=bind.bind(where.per_page, "bigint"),
    )
    return statement, bind


def _keys(bind: Arguments, where: RunParameters, after: RunKey | None) -> str:
    """Return the statement for the keys of a page, and of one row more if there is one."""
    many = bind.bind(where.offset + where.per_page + 1, "bigint")
    offset = bind.bind(where.offset, "bigint")
    source = _source(bind, where, after, many)
    return f"{source} {NEWEST_FIRST} OFFSET {offset} LIMIT {many} - {offset}"


def _source(bind: Arguments, where: RunParameters, after: RunKey | None, many: str) -> str:
    if where.incident_id is not None:
        return _range(bind, where, after, "run_incident", where.of_incident(bind, "r"))
    if where.is_by_status:
        # Without a choice of projects the index by state and status alone has longer ranges.
        columns = ["state", "status"]
        if where.project_id is not None:
            columns.insert(0, "project_id")
        ranges = f"SELECT DISTINCT {', '.join(columns)} FROM combination"
    elif where.project_id is not None:
        columns = ["project_id"]
        ranges = f"SELECT unnest({bind.bind(where.project_id, 'text[]')}) AS project_id"
    else:
        return _range(bind, where, after, "run", [])
    same = [f"r.{column} = c.{column}" for column in columns]
    each = _range(bind, where, after, "run", same)
    return RANGES.format(ranges=ranges, each=each, many=many)


def _range(
    bind: Arguments, where: RunParameters, after: RunKey | None, table: str, conditions: list[str]
) -> str:
    """Return the statement for the keys in one range of an index, to be put in order."""
    if after and where.created_before and after.created_at < where.created_before:
        # of two ends an index scan may start at the wider one, and read all between them
        where = where.model_copy(update={"created_before": None})
    within = [*conditions, *where.ranged(bind, "r")]
    if after is not None:
        created_at = bind.bind(after.created_at, "timestamptz")
        run_id = bind.bind(after.run_id, "uuid")
        within.append(f"(r.created_at, r.run_id) < ({created_at}, {run_id})")
    return f"SELECT r.created_at, r.run_id FROM {table} r WHERE {every(within)}"
