"""A run's timeline: entries from five tables, merged in order of (ts, rank, seq, tie).

Each table has an index in that order (the evidence one for each incident), so each gives as many
rows as the page has and no more.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import asyncpg
from pydantic import AwareDatetime, Field, TypeAdapter

from api.cursors import Cursors
from api.parameters import DIGITS, MAX_PAGE_SIZE, CursorText, Parameters, ProjectId, Text
from api.problems import not_found
from api.reading import Answer, Snapshot
from api.responses import Json, Language
from contracts.fields import INT64_MAX

Kind = Literal["run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"]


class EntryKey(NamedTuple):
    """Where an entry stands in a timeline."""

    ts: AwareDatetime
    rank: Annotated[int, Field(ge=0, le=10)]
    seq: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
    tie: Text


BEGINNING: Final = EntryKey(datetime.min.replace(tzinfo=UTC), -1, 0, "")
"""Comes before every entry."""

TIMELINE_CURSORS: Final = Cursors("timeline", TypeAdapter(EntryKey))


class TimelineParameters(Parameters):
    """Parameters of the timeline."""

    project_id: ProjectId | None = None
    """The run's project; of another one it is 404."""
    kind: list[Kind] | None = None
    """Only entries of these kinds."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), DIGITS] = 100
    """Entries on a page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before, or `timeline_next_cursor` of the detail."""


SUBJECT: Final = """
    SELECT f.run_id, f.project_id, f.state, f.created_at, f.started_at, f.completed_at,
        f.trigger_ref, f.trigger_event, f.detail, r.incidents, r.summary
    FROM run_fact f JOIN run r ON r.run_id = f.run_id
    WHERE f.run_id = $1::uuid AND ($2::text IS NULL OR f.project_id = $2::text)
"""
"""The run with id $1, if it is in project $2, where one is named."""

ORDER: Final = "ORDER BY ts, rank, seq, tie"
MANY: Final = "$4::bigint + 1"


def _after(ts: str, rank: str, seq: str, tie: str) -> str:
    """The condition that a row comes after the last page; its first part is for the index."""
    place = "$6::timestamptz, $7::smallint, $8::bigint, $9::text"
    return f"{ts} >= $6::timestamptz AND ({ts}, {rank}, {seq}, {tie}) > ({place})"


def _titled(zh: str, en: str) -> str:
    return f"CASE $3::text WHEN 'en' THEN {en} ELSE {zh} END"


STORED_TITLE: Final = _titled("t.title", "t.title_en")

OF_RUN: Final = f"""
    SELECT t.ts, t.rank, 0::bigint AS seq, '' COLLATE "C" AS tie, 'run' AS kind,
        t.title, t.status, t.summary, t.metadata
    FROM subject s CROSS JOIN LATERAL (VALUES
        (s.created_at, 0, {_titled("'Run 建立'", "'Run created'")}, s.state,
            coalesce(nullif(s.detail ->> 'trigger_type', ''), 'unknown')
                || ' → ' || (s.detail ->> 'agent_id'),
            json_build_object('trace_id', s.detail -> 'trace_id',
                'trigger_ref', s.detail -> 'trigger_ref')),
        (s.started_at, 1, {_titled("'Run 開始執行'", "'Run started'")}, 'running',
            s.detail ->> 'worker_id', '{{}}'::json),
        (s.completed_at, 10, {_titled("'Run 結束'", "'Run ended'")}, s.state,
            coalesce(nullif(s.detail ->> 'error_detail', ''), s.detail ->> 'error_code'),
            '{{}}'::json)
    ) AS t (ts, rank, title, status, summary, metadata)
    WHERE 'run' = ANY ($5::text[]) AND t.ts IS NOT NULL AND {_after("t.ts", "t.rank", "0", "''")}
"""

UNTOLD_STATE: Final = """
    t.changed_at <> s.created_at AND t.changed_at IS DISTINCT FROM s.started_at
    AND t.changed_at IS DISTINCT FROM s.completed_at
"""
"""A change of state that has no entry of the run itself."""

OF_STATES: Final = f"""
    SELECT e.changed_at, 2, 0, e.state, 'state', e.title, e.state, NULL, '{{}}'::json
    FROM subject s CROSS JOIN LATERAL (
        SELECT t.changed_at, t.state, {_titled("'狀態：'", "'State: '")} || t.state AS title
        FROM run_state t
        WHERE 'state' = ANY ($5::text[]) AND t.run_id = s.run_id AND t.project_id = s.project_id
            AND {UNTOLD_STATE} AND {_after("t.changed_at", "2", "0", "t.state")}
        ORDER BY t.changed_at, t.state LIMIT {MANY}
    ) AS e
"""


def belonging(columns: str, front: str = "") -> str:
    """Return the statement for these columns of the inbound events `i` that belong to run `s`.

    They belong by the run they name or by what triggered the run; each way has its own index,
    whose front is taken when `front` says so.
    """
    ways = (
        "i.run_id = s.run_id",
        "i.provider_event_id = s.trigger_ref",
        "i.event_uuid = s.trigger_event",
    )
    return " UNION ".join(
        f"(SELECT {columns} FROM inbound i WHERE {way} AND i.project_id = s.project_id {front})"
        for way in ways
    )


_INBOUND_AFTER: Final = _after("i.received_at", "3", "0", 'i.event_uuid::text COLLATE "C"')
_INBOUND_FRONT: Final = f"""
    AND 'inbound' = ANY ($5::text[]) AND {_INBOUND_AFTER}
    ORDER BY i.received_at, i.event_uuid LIMIT {MANY}
"""

OF_INBOUND: Final = f"""
    SELECT t.received_at AS ts, 3 AS rank, 0 AS seq, t.event_uuid::text COLLATE "C" AS tie,
        'inbound' AS kind, {STORED_TITLE}, t.status, t.summary, t.metadata
    FROM subject s
    CROSS JOIN LATERAL ({belonging("i.event_uuid", _INBOUND_FRONT)}) AS k
    JOIN inbound t ON t.event_uuid = k.event_uuid
    {ORDER} LIMIT {MANY}
"""

OF_ITEMS: Final = f"""
    SELECT e.* FROM subject s CROSS JOIN LATERAL (
        SELECT t.ts, t.rank, t.seq, t.tie, t.kind,
            {STORED_TITLE} AS title, t.status, t.summary, t.metadata
        FROM item t
        WHERE $5::text[] && ARRAY['step', 'approval', 'mcp', 'outbound']
            AND t.run_id = s.run_id AND t.project_id = s.project_id AND t.kind = ANY ($5::text[])
            AND {_after("t.ts", "t.rank", "t.seq", "t.tie")}
        {ORDER} LIMIT {MANY}
    ) AS e
"""

OF_EVIDENCE: Final = f"""
    SELECT e.ts, e.rank, 0 AS seq, e.tie, e.kind, e.title, e.status, e.summary, e.metadata
    FROM subject s
    CROSS JOIN LATERAL unnest(s.incidents) AS incident (id)
    CROSS JOIN (VALUES (6, 'mcp'), (7, 'remediation')) AS of (rank, kind)
    CROSS JOIN LATERAL (
        SELECT t.created_at AS ts, t.rank, t.id AS tie, of.kind,
            {STORED_TITLE} AS title, t.status, t.summary, t.metadata
        FROM evidence t
        WHERE t.incident_id = incident.id AND t.rank = of.rank
            AND (t.project_id IS NULL OR t.project_id = s.project_id)
            AND {_after("t.created_at", "t.rank", "0", "t.id")}
        ORDER BY t.created_at, t.id LIMIT {MANY}
    ) AS e
    WHERE of.kind = ANY ($5::text[])
    {ORDER} LIMIT {MANY}
"""

ENTRIES: Final = f"""
    SELECT * FROM (
        ({OF_RUN}) UNION ALL ({OF_STATES}) UNION ALL ({OF_INBOUND}) UNION ALL ({OF_ITEMS})
        UNION ALL ({OF_EVIDENCE})
    ) AS e (ts, rank, seq, tie, kind, title, status, summary, metadata)
    {ORDER} LIMIT {MANY}
"""
"""The first $4 entries of `subject`, and one more, that are of the kinds $5 and come after the key
$6 to $9; their titles are in language $3."""

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

PAGE: Final = f"""
    -- timeline: a page of a run's timeline
    WITH subject AS MATERIALIZED ({SUBJECT}),
    entry AS MATERIALIZED ({ENTRIES}),
    shown AS (SELECT * FROM entry {ORDER} LIMIT $4::bigint)
    SELECT {SHOWN} AS timeline, last.ts, last.rank, last.seq, last.tie
    FROM subject
    LEFT JOIN {LAST} AS last ON (SELECT count(*) FROM entry) > $4::bigint
"""


async def page(
    snapshot: Snapshot, parameters: TimelineParameters, run_id: str, language: Language
) -> Answer:
    """Return entries of a run, oldest first. Raises `Problem`: 404."""
    after, kinds = BEGINNING, parameters.kind or []
    if parameters.cursor is not None:
        after = TIMELINE_CURSORS.key(parameters.cursor, _bound(run_id, kinds))
    limit, project = parameters.limit, parameters.project_id
    row = await snapshot.row(PAGE, run_id, project, language, limit, kinds or ALL_KINDS, *after)
    if row is None:
        raise not_found("run")
    body = {"timeline": Json(row["timeline"]), "next_cursor": next_cursor(row, run_id, kinds)}
    return body, row["as_of"]


ALL_KINDS: Final = get_args(Kind)


def next_cursor(row: asyncpg.Record, run_id: str, kinds: Collection[Kind] = ()) -> str | None:
    """Return the cursor of the next page, from the columns of `LAST`."""
    if row["ts"] is None:
        return None
    key = EntryKey(row["ts"], row["rank"], row["seq"], row["tie"])
    return TIMELINE_CURSORS.after(key, _bound(run_id, kinds))


def _bound(run_id: str, kinds: Collection[Kind]) -> dict[str, Any]:
    return {"run_id": run_id, "kind": sorted(set(kinds))}
