"""The detail of one run, in one statement."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from api.languages import Language
from api.queries import bearing
from api.queries.arguments import Arguments
from api.queries.entries import ORDER, UNTOLD_STATE, EntryKey, Wanted, belonging, entries
from api.queries.timeline import LAST, SHOWN, last_of, subject
from api.reading import Snapshot

LISTED: Final = 100
"""How many steps, events, messages, calls and timeline entries the detail lists."""


def _items(rank: int, *order: str) -> str:
    """Return the expression for the first items of this rank, as a JSON array."""
    return f"""
        (SELECT '[' || coalesce(string_agg(first.detail::text, ','
            ORDER BY {_listed("first", order)}), '') || ']'
        FROM subject s CROSS JOIN LATERAL (
            SELECT {_listed("t", order)}, t.detail FROM item t
            WHERE t.run_id = s.run_id AND t.project_id = s.project_id AND t.rank = {rank}
            ORDER BY {_listed("t", order)} LIMIT {LISTED}
        ) AS first)
    """


def _listed(source: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{source}.{column}" for column in columns)


STEPS: Final = _items(4, "seq", "tie")
CALLS: Final = _items(5, "ts", "rank", "seq", "tie")
"""In order of time, as the timeline is: with its index no more are read than are listed."""
OUTBOUND: Final = _items(9, "seq", "listed_at", "tie")

INBOUND: Final = f"""
    (SELECT '[' || coalesce(string_agg(first.detail::text, ','
        ORDER BY first.received_at, first.event_uuid), '') || ']'
    FROM (
        SELECT t.received_at, t.event_uuid, t.detail
        FROM related JOIN inbound t ON t.event_uuid = related.event_uuid
        ORDER BY t.received_at, t.event_uuid LIMIT {LISTED}
    ) AS first)
"""

COUNTS: Final = f"""
    (SELECT row_to_json(tally) FROM (
        SELECT items.steps, inbound.n AS inbound_events, items.outbound_messages,
            items.mcp_calls, record.n AS legacy_mcp_calls, remedy.n AS remediation_history,
            1 + (s.started_at IS NOT NULL)::int + (s.completed_at IS NOT NULL)::int + state.n
                + inbound.n + items.n + record.n + remedy.n AS timeline
        FROM subject s,
            (SELECT count(*) AS n FROM related) AS inbound,
            (SELECT count(*) AS n FROM record) AS record,
            (SELECT count(*) AS n FROM remedy) AS remedy,
            LATERAL (SELECT count(*) AS n FROM run_state t
                WHERE t.run_id = s.run_id AND t.project_id = s.project_id AND {UNTOLD_STATE}
            ) AS state,
            LATERAL (SELECT count(*) AS n,
                    count(*) FILTER (WHERE t.rank = 4) AS steps,
                    count(*) FILTER (WHERE t.rank = 5) AS mcp_calls,
                    count(*) FILTER (WHERE t.rank = 9) AS outbound_messages
                FROM item t WHERE t.run_id = s.run_id AND t.project_id = s.project_id) AS items
    ) AS tally)::text
"""

DETAIL: Final = """
    -- detail: everything told of one run
    WITH subject AS MATERIALIZED ({subject}),
    related AS MATERIALIZED (
        SELECT k.event_uuid FROM subject s CROSS JOIN LATERAL ({belonging}) AS k
    ),
    {bearing},
    entry AS MATERIALIZED ({entries}),
    shown AS (SELECT * FROM entry {order} LIMIT {limit})
    SELECT s.detail AS run, {steps} AS steps, {inbound} AS inbound_events,
        {outbound} AS outbound_messages, {calls} AS mcp_calls, {gateway} AS mcp_gateway,
        {legacy} AS mcp_legacy, {remediation} AS remediation_history, {shown} AS timeline,
        {counts} AS counts, s.summary AS remediation_summary,
        last.ts, last.rank, last.seq, last.tie
    FROM subject s
    LEFT JOIN {last} AS last ON (SELECT count(*) FROM entry) > {limit}
"""

PARTS: Final = (
    "run",
    "steps",
    "inbound_events",
    "outbound_messages",
    "mcp_calls",
    "mcp_gateway",
    "mcp_legacy",
    "remediation_history",
    "timeline",
    "counts",
    "remediation_summary",
)
"""The members of the detail, each JSON text of its own."""


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything told of one run."""

    parts: dict[str, str]
    """JSON text of each member."""
    last: EntryKey | None
    """Where the next page of the timeline starts; None when all of it is here."""
    as_of: str | None


async def detail(
    snapshot: Snapshot, run_id: str, project: str | None, language: Language
) -> Detail | None:
    """Return the detail of a run; None when there is no such run."""
    bind = Arguments()
    wanted = Wanted(kinds=(), after=None, limit=LISTED, language=language)
    statement = DETAIL.format(
        subject=subject(bind, run_id, project),
        belonging=belonging("i.event_uuid"),
        bearing=bearing.TABLES,
        entries=entries(bind, wanted),
        order=ORDER,
        limit=bind.bind(LISTED, "bigint"),
        steps=STEPS,
        inbound=INBOUND,
        outbound=OUTBOUND,
        calls=CALLS,
        gateway=bearing.GATEWAY,
        legacy=bearing.LEGACY,
        remediation=bearing.REMEDIATION,
        shown=SHOWN,
        counts=COUNTS,
        last=LAST,
    )
    row = await snapshot.row(statement, *bind)
    if row is None:
        return None
    return Detail({name: row[name] for name in PARTS}, last_of(row), row["as_of"])
