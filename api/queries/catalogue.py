"""Projects and contract revisions."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from pydantic import AwareDatetime

from api.parameters import Text
from api.queries.arguments import Arguments, every
from api.reading import Snapshot

PROJECTS: Final = """
    -- projects: all that the bearer may see
    SELECT '[' || coalesce(string_agg(p.detail::text, ',' ORDER BY p.project_id), '') || ']'
        AS tenants, count(*) AS total
    FROM project p
"""

# Projects are few next to revisions: each gives as many rows as the page has, then they merge.
REVISIONS: Final = """
    -- contracts: a page of contract revisions
    WITH key AS MATERIALIZED (
        {keys} ORDER BY created_at DESC, revision_id DESC LIMIT {limit} + 1
    ),
    shown AS (SELECT * FROM key ORDER BY created_at DESC, revision_id DESC LIMIT {limit})
    SELECT
        (SELECT '[' || coalesce(string_agg(r.detail::text, ','
            ORDER BY shown.created_at DESC, shown.revision_id DESC), '') || ']'
        FROM shown JOIN contract_revision r ON r.revision_id = shown.revision_id) AS contracts,
        (SELECT coalesce(sum(c.total), 0)::bigint FROM contract_counter c WHERE {counted}) AS total,
        last.created_at, last.revision_id
    FROM (SELECT count(*) > {limit} AS is_more FROM key) AS page
    LEFT JOIN (SELECT * FROM shown ORDER BY created_at, revision_id LIMIT 1) AS last
        ON page.is_more
"""

BY_PROJECT: Final = """
    SELECT k.created_at, k.revision_id
    FROM unnest({projects}) AS p (id) CROSS JOIN LATERAL (
        SELECT r.created_at, r.revision_id FROM contract_revision r
        WHERE r.project_id = p.id AND {within}
        ORDER BY r.created_at DESC, r.revision_id DESC LIMIT {limit} + 1
    ) AS k
"""

OF_ALL: Final = """
    SELECT r.created_at, r.revision_id FROM contract_revision r WHERE {within}
"""


class RevisionKey(NamedTuple):
    """Where a revision stands in the list."""

    created_at: AwareDatetime
    revision_id: Text


@dataclass(frozen=True, slots=True)
class RevisionFilter:
    """Filters of the contract list; None filters nothing."""

    projects: list[str] | None
    status: str | None
    """Key of a lifecycle status (`contracts.keys.index_key`)."""


@dataclass(frozen=True, slots=True)
class RevisionPage:
    """A page of contract revisions."""

    contracts: str
    """JSON array."""
    total: int
    last: RevisionKey | None
    """Where the next page starts; None on the last one."""
    as_of: str | None


async def projects(snapshot: Snapshot) -> tuple[str, int, str | None]:
    """Return the projects as a JSON array by their id, how many they are, and `as_of`."""
    row = await snapshot.one(PROJECTS)
    return row["tenants"], row["total"], row["as_of"]


async def revisions(
    snapshot: Snapshot, where: RevisionFilter, after: RevisionKey | None, limit: int
) -> RevisionPage:
    """Return the revisions that `where` finds, newest first, and how many there are in all."""
    bind = Arguments()
    many = bind.bind(limit, "bigint")
    within = every([*_status(bind, where, "r"), *_after(bind, after)])
    if where.projects is None:
        keys = OF_ALL.format(within=within)
    else:
        among = bind.bind(where.projects, "text[]")
        keys = BY_PROJECT.format(projects=among, within=within, limit=many)
    statement = REVISIONS.format(keys=keys, limit=many, counted=_counted(bind, where))
    row = await snapshot.one(statement, *bind)
    last = RevisionKey(row["created_at"], row["revision_id"]) if row["revision_id"] else None
    return RevisionPage(row["contracts"], row["total"], last, row["as_of"])


def _counted(bind: Arguments, where: RevisionFilter) -> str:
    conditions = _status(bind, where, "c")
    if where.projects is not None:
        conditions.append(f"c.project_id = ANY ({bind.bind(where.projects, 'text[]')})")
    return every(conditions)


def _status(bind: Arguments, where: RevisionFilter, table: str) -> list[str]:
    if where.status is None:
        return []
    return [f"{table}.lifecycle_status = {bind.bind(where.status, 'text')}"]


def _after(bind: Arguments, after: RevisionKey | None) -> list[str]:
    if after is None:
        return []
    created_at = bind.bind(after.created_at, "timestamptz")
    revision_id = bind.bind(after.revision_id, "text")
    return [f"(r.created_at, r.revision_id) < ({created_at}, {revision_id})"]
