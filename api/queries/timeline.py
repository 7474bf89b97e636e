"""A page of a run's timeline."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from api.queries.arguments import Arguments, every
from api.queries.entries import ORDER, EntryKey, Wanted, entries
from api.reading import Snapshot

SUBJECT: Final = """
    SELECT f.run_id, f.project_id, f.state, f.created_at, f.started_at, f.completed_at,
        f.trigger_ref, f.trigger_event, f.detail, r.incidents, r.summary
    FROM run_fact f JOIN run r ON r.run_id = f.run_id
"""

SHOWN: Final = """
    (SELECT '[' || coalesce(string_agg(row_to_json(line)::text, ','
        ORDER BY e.ts, e.rank, e.seq, e.tie), '') || ']'
    FROM shown e CROSS JOIN LATERAL (
        SELECT runfold.rfc3339(e.ts) AS ts, e.kind, e.title, e.status, e.summary,
            coalesce(e.metadata, '{}'::json) AS metadata
    ) AS line)
"""
"""JSON array of the entries of `shown`."""

LAST: Final = """
    (SELECT ts, rank, seq, tie FROM shown ORDER BY ts DESC, rank DESC, seq DESC, tie DESC LIMIT 1)
"""

PAGE: Final = """
    -- timeline: a page of a run's timeline
    WITH subject AS MATERIALIZED ({subject}),
    entry AS MATERIALIZED ({entries}),
    shown AS (SELECT * FROM entry {order} LIMIT {limit})
    SELECT {shown} AS timeline, last.ts, last.rank, last.seq, last.tie
    FROM subject
    LEFT JOIN {last} AS last ON (SELECT count(*) FROM entry) > {limit}
"""


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A page of a run's timeline."""

    timeline: str
    """JSON array."""
    last: EntryKey | None
    """Where the next page starts; None on the last one."""
    as_of: str | None


async def page(
    snapshot: Snapshot, run_id: str, project: str | None, wanted: Wanted
) -> TimelinePage | None:
    """Return the entries of a run that are wanted; None when there is no such run."""
    bind = Arguments()
    statement = PAGE.format(
        subject=subject(bind, run_id, project),
        entries=entries(bind, wanted),
        limit=bind.bind(wanted.limit, "bigint"),
        order=ORDER,
        shown=SHOWN,
        last=LAST,
    )
    row = await snapshot.row(statement, *bind)
    return None if row is None else TimelinePage(row["timeline"], last_of(row), row["as_of"])


def subject(bind: Arguments, run_id: str, project: str | None) -> str:
    """Return the statement for the run that is asked for, if it is in the project named."""
    conditions = [f"f.run_id = {bind.bind(run_id, 'uuid')}"]
    if project is not None:
        conditions.append(f"f.project_id = {bind.bind(project, 'text')}")
    return f"{SUBJECT} WHERE {every(conditions)}"


def last_of(row: asyncpg.Record) -> EntryKey | None:
    """Return where the next page starts, from the columns of `LAST`."""
    return EntryKey(row["ts"], row["rank"], row["seq"], row["tie"]) if row["ts"] else None
