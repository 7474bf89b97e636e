"""The entries of a run's timeline: from five tables, merged in order of (ts, rank, seq, tie).

Each table has an index in that order (the evidence one for each incident), so each gives as many
rows as the page has and no more.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AwareDatetime, Field

from api.languages import Language
from api.parameters import Text
from api.queries.arguments import Arguments
from contracts.fields import INT64_MAX

Kind = Literal["run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"]

COLUMNS: Final = "ts, rank, seq, tie, kind, title, status, summary, metadata"
ORDER: Final = "ORDER BY ts, rank, seq, tie"

TITLES: Final[dict[Language, dict[str, str]]] = {
    "zh-TW": {
        "created": "'Run 建立'",
        "started": "'Run 開始執行'",
        "ended": "'Run 結束'",
        "state": "'狀態：' || t.state",
        "stored": "t.title",
    },
    "en": {
        "created": "'Run created'",
        "started": "'Run started'",
        "ended": "'Run ended'",
        "state": "'State: ' || t.state",
        "stored": "t.title_en",
    },
}
"""Titles as SQL; `t` is the row they are of."""


class EntryKey(NamedTuple):
    """Where an entry stands in a timeline."""

    ts: AwareDatetime
    rank: Annotated[int, Field(ge=0, le=10)]
    seq: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
    tie: Text


class Wanted(NamedTuple):
    """Which entries of a timeline are asked for."""

    kinds: Collection[Kind]
    """Only these; none is all."""
    after: EntryKey | None
    limit: int
    language: Language


class Part:
    """What each table's part of a page has in common."""

    def __init__(self, bind: Arguments, wanted: Wanted) -> None:
        self.many = bind.bind(wanted.limit + 1, "bigint")
        self.titles = TITLES[wanted.language]
        self._after = wanted.after and {
            "ts": bind.bind(wanted.after.ts, "timestamptz"),
            "key": ", ".join(
                (
                    bind.bind(wanted.after.rank, "smallint"),
                    bind.bind(wanted.after.seq, "bigint"),
                    bind.bind(wanted.after.tie, "text"),
                )
            ),
        }
        self._bind, self._kinds = bind, sorted(set(wanted.kinds))

    def after(self, ts: str, rank: str, seq: str, tie: str) -> str:
        """Return the condition that a row comes after the page before; its first part is for
        the index.
        """
        if not self._after:
            return "true"
        start = f"{self._after['ts']}, {self._after['key']}"
        return f"{ts} >= {self._after['ts']} AND ({ts}, {rank}, {seq}, {tie}) > ({start})"

    def of_kind(self, kind: str) -> str:
        """Return the condition that an entry is of a kind that is wanted."""
        return f"{kind} = ANY ({self._bind.bind(self._kinds, 'text[]')})" if self._kinds else "true"


def entries(bind: Arguments, wanted: Wanted) -> str:
    """Return the statement for the entries of `subject` that are wanted, and for one more."""
    part = Part(bind, wanted)
    parts = [
        f"({select(part)})"
        for kinds, select in SOURCES
        if not wanted.kinds or kinds.intersection(wanted.kinds)
    ]
    together = " UNION ALL ".join(parts)
    return f"SELECT * FROM ({together}) AS e ({COLUMNS}) {ORDER} LIMIT {part.many}"


def _of_run(part: Part) -> str:
    return f"""
        SELECT t.ts, t.rank, 0::bigint AS seq, '' COLLATE "C" AS tie, 'run' AS kind,
            t.title, t.status, t.summary, t.metadata
        FROM subject s CROSS JOIN LATERAL (VALUES
            (s.created_at, 0, {part.titles["created"]}, s.state,
                coalesce(nullif(s.detail ->> 'trigger_type', ''), 'unknown')
                    || ' → ' || (s.detail ->> 'agent_id'),
                json_build_object('trace_id', s.detail -> 'trace_id',
                    'trigger_ref', s.detail -> 'trigger_ref')),
            (s.started_at, 1, {part.titles["started"]}, 'running',
                s.detail ->> 'worker_id', '{{}}'::json),
            (s.completed_at, 10, {part.titles["ended"]}, s.state,
                coalesce(nullif(s.detail ->> 'error_detail', ''), s.detail ->> 'error_code'),
                '{{}}'::json)
        ) AS t (ts, rank, title, status, summary, metadata)
        WHERE t.ts IS NOT NULL AND {part.after("t.ts", "t.rank", "0", "''")}
    """


def _of_states(part: Part) -> str:
    return f"""
        SELECT e.changed_at, 2, 0, e.state, 'state', e.title, e.state, NULL, '{{}}'::json
        FROM subject s CROSS JOIN LATERAL (
            SELECT t.changed_at, t.state, {part.titles["state"]} AS title
            FROM run_state t
            WHERE t.run_id = s.run_id AND t.project_id = s.project_id AND {UNTOLD_STATE}
                AND {part.after("t.changed_at", "2", "0", "t.state")}
            ORDER BY t.changed_at, t.state LIMIT {part.many}
        ) AS e
    """


UNTOLD_STATE: Final = """
    t.changed_at <> s.created_at AND t.changed_at IS DISTINCT FROM s.started_at
    AND t.changed_at IS DISTINCT FROM s.completed_at
"""
"""A change of state that no entry of the run itself tells of."""


def _of_inbound(part: Part) -> str:
    after = part.after("i.received_at", "3", "0", 'i.event_uuid::text COLLATE "C"')
    front = f"AND {after} ORDER BY i.received_at, i.event_uuid LIMIT {part.many}"
    return f"""
        SELECT t.received_at AS ts, 3 AS rank, 0 AS seq, t.event_uuid::text COLLATE "C" AS tie,
            'inbound' AS kind, {part.titles["stored"]}, t.status, t.summary, t.metadata
        FROM subject s
        CROSS JOIN LATERAL ({belonging("i.event_uuid", front)}) AS k
        JOIN inbound t ON t.event_uuid = k.event_uuid
        {ORDER} LIMIT {part.many}
    """


def belonging(columns: str, front: str = "") -> str:
    """Return the statement for these columns of the inbound events `i` that belong to run `s`.

    They belong by the run they name or by what triggered the run; each way has its own index,
    whose front is taken when `front` says so.
    """
    ways = ("i.run_id = s.run_id", "i.provider_event_id = s.trigger_ref", BY_EVENT_ID)
    return " UNION ".join(
        f"(SELECT {columns} FROM inbound i WHERE {way} AND i.project_id = s.project_id {front})"
        for way in ways
    )


BY_EVENT_ID: Final = "i.event_uuid = s.trigger_event"


def _of_items(part: Part) -> str:
    return f"""
        SELECT e.* FROM subject s CROSS JOIN LATERAL (
            SELECT t.ts, t.rank, t.seq, t.tie, t.kind,
                {part.titles["stored"]} AS title, t.status, t.summary, t.metadata
            FROM item t
            WHERE t.run_id = s.run_id AND t.project_id = s.project_id
                AND {part.of_kind("t.kind")} AND {part.after("t.ts", "t.rank", "t.seq", "t.tie")}
            {ORDER} LIMIT {part.many}
        ) AS e
    """


def _of_evidence(part: Part) -> str:
    return f"""
        SELECT e.ts, e.rank, 0 AS seq, e.tie, e.kind, e.title, e.status, e.summary, e.metadata
        FROM subject s
        CROSS JOIN LATERAL unnest(s.incidents) AS incident (id)
        CROSS JOIN (VALUES (6, 'mcp'), (7, 'remediation')) AS of (rank, kind)
        CROSS JOIN LATERAL (
            SELECT t.created_at AS ts, t.rank, t.id AS tie, of.kind,
                {part.titles["stored"]} AS title, t.status, t.summary, t.metadata
            FROM evidence t
            WHERE t.incident_id = incident.id AND t.rank = of.rank
                AND (t.project_id IS NULL OR t.project_id = s.project_id)
                AND {part.after("t.created_at", "t.rank", "0", "t.id")}
            ORDER BY t.created_at, t.id LIMIT {part.many}
        ) AS e
        WHERE {part.of_kind("of.kind")}
        {ORDER} LIMIT {part.many}
    """


SOURCES: Final[tuple[tuple[frozenset[Kind], Callable[[Part], str]], ...]] = (
    (frozenset({"run"}), _of_run),
    (frozenset({"state"}), _of_states),
    (frozenset({"inbound"}), _of_inbound),
    (frozenset({"step", "approval", "mcp", "outbound"}), _of_items),
    (frozenset({"mcp", "remediation"}), _of_evidence),
)
"""Which kinds of entry each table holds."""
