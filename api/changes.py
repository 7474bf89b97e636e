"""The log of runs that changed, read from one place in it to the next.

A place is a snapshot of the database, as text: it says exactly which transactions it contains. New
since a place is what the transactions logged that it does not contain. So no change is missed
because an earlier transaction commits after a later one, and none waits for a long one.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

import asyncpg
import orjson

from api.reading import Snapshot

MOST_CHANGES: Final = 10_000
"""Most runs that are reported at once; with more of them it is cheaper to read the views again."""

# Longer than any snapshot of a server whose transactions are numbered in the hundreds.
_PLACE: Final = re.compile(r"[0-9]{1,19}:[0-9]{1,19}:[0-9,]{0,8000}")

HERE: Final = """
    -- stream: where the log is now
    SELECT pg_current_snapshot()::text AS place
"""

# A transaction that the place does not contain began after it, or was in progress. One that still
# is has no change that could have been deleted, be it open for days and in another database. What
# one that has ended had logged is not known any more: that counts as lost. A place that lies ahead
# is one of another server, or of this one before it was restored.
IS_LOST: Final = """
    -- stream: whether changes after this place have been deleted
    SELECT coalesce(pruned_to >= pg_snapshot_xmax(place), false)
        OR EXISTS (
            SELECT FROM pg_snapshot_xip(place) AS then_in_progress
            WHERE then_in_progress <= pruned_to
                AND pg_visible_in_snapshot(then_in_progress, pg_current_snapshot())
        )
        OR pg_snapshot_xmax(place) > pg_snapshot_xmax(pg_current_snapshot())
    FROM runfold.run_change_horizon, CAST($1::text AS pg_snapshot) AS place
"""

SINCE: Final = """
    -- stream: the runs that have changed since a place, the latest change last
    WITH changed AS (
        SELECT run_id, max(change_id) AS latest
        FROM runfold.run_change
        WHERE (
                change_id >= pg_snapshot_xmax($1::text::pg_snapshot)
                OR change_id = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
            )
            AND ($2::text[] IS NULL OR project_id = ANY ($2))
        GROUP BY run_id
        ORDER BY latest DESC
        LIMIT $3
    )
    SELECT changed.run_id::text, run.project_id, run.state, run.status AS remediation_status
    FROM changed LEFT JOIN run
        ON run.run_id = changed.run_id AND ($2::text[] IS NULL OR run.project_id = ANY ($2))
    ORDER BY changed.latest, run.run_id
"""

AS_OF: Final = "SELECT runfold.rfc3339(max(updated_at)) FROM position"


class Change(NamedTuple):
    """A run that has changed."""

    project_id: str
    data: bytes
    """JSON of the event that a client gets."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed between two places."""

    since: str
    place: str
    """Where the log was when this was read."""
    runs: tuple[Change, ...] = ()
    is_lost: bool = False
    """Whether more has changed than can be reported: the client has to read the views again."""

    @property
    def is_news(self) -> bool:
        """Whether a client gets more of it than a place."""
        return bool(self.runs) or self.is_lost


async def here(snapshot: Snapshot) -> str:
    """Return the place up to which the snapshot contains the log."""
    return str(await snapshot.connection.fetchval(HERE))


async def since(snapshot: Snapshot, place: str, projects: list[str] | None) -> Changes:
    """Return what changed after a place, of these projects or, with None, of all one may see.

    Each run once, as it is now. Lost are changes after a text that is no place or from which the
    log no longer leads here, and changes of more than `MOST_CHANGES` runs.
    """
    now = await here(snapshot)
    if not _PLACE.fullmatch(place) or await _is_lost(snapshot, place):
        return Changes(place, now, is_lost=True)
    # the log may hold a few changes at one time and very many at another
    await snapshot.plan_by_values()
    rows = await snapshot.connection.fetch(SINCE, place, projects, MOST_CHANGES + 1)
    if len(rows) > MOST_CHANGES:
        return Changes(place, now, is_lost=True)
    as_of = await snapshot.connection.fetchval(AS_OF) if rows else None
    # a run that was removed, or is another project's now, counts and is not reported
    runs = (
        Change(row["project_id"], orjson.dumps({**row, "as_of": as_of}))
        for row in rows
        if row["project_id"] is not None
    )
    return Changes(place, now, tuple(runs))


async def _is_lost(snapshot: Snapshot, place: str) -> bool:
    try:
        # in a transaction of its own, since what is no snapshot fails it
        async with snapshot.connection.transaction():
            return bool(await snapshot.connection.fetchval(IS_LOST, place))
    except asyncpg.DataError:
        return True
