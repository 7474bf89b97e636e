"""The detail of one run, in one statement: its lists, what they come to, and its timeline.

Counts are over everything; lists are cut at their limits.
"""

from typing import Final

from api.parameters import Parameters, ProjectId
from api.problems import not_found
from api.queries.timeline import (
    ALL_KINDS,
    BEGINNING,
    ENTRIES,
    LAST,
    ORDER,
    SHOWN,
    SUBJECT,
    UNTOLD_STATE,
    belonging,
    next_cursor,
)
from api.reading import Answer, Snapshot
from api.responses import Json, Language

LISTED: Final = 100
"""How many steps, events, messages, calls and timeline entries the detail lists."""
RECORDS_LISTED: Final = 100
REMEDIES_LISTED: Final = 20


class DetailParameters(Parameters):
    """Parameters of the detail."""

    project_id: ProjectId | None = None
    """The run's project; of another one it is 404."""


def _items(rank: int, *order: str) -> str:
    """Return the expression for the first items of this rank, as a JSON array."""
    first = ", ".join(f"first.{column}" for column in order)
    own = ", ".join(f"t.{column}" for column in order)
    return f"""
        (SELECT '[' || coalesce(string_agg(first.detail::text, ',' ORDER BY {first}), '') || ']'
        FROM subject s CROSS JOIN LATERAL (
            SELECT {own}, t.detail FROM item t
            WHERE t.run_id = s.run_id AND t.project_id = s.project_id AND t.rank = {rank}
            ORDER BY {own} LIMIT {LISTED}
        ) AS first)
    """


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

OUTCOMES: Final = """
    count(*) AS total,
    count(*) FILTER (WHERE result_status = 'success') AS success,
    count(*) FILTER (WHERE result_status = 'failed') AS failed,
    count(gate) AS blocked
"""

GATEWAY: Final = f"""
    (SELECT row_to_json(gateway) FROM (
        SELECT {OUTCOMES},
            count(*) FILTER (WHERE is_shadow) AS shadow,
            count(*) FILTER (WHERE is_enforced) AS policy_enforced,
            (SELECT coalesce(json_agg(tool ORDER BY total DESC, tool_name COLLATE "C"), '[]')
            FROM (SELECT tool_name, {OUTCOMES} FROM call GROUP BY tool_name) AS tool) AS by_tool,
            (SELECT coalesce(json_object_agg(gate, n ORDER BY gate COLLATE "C"), '{{}}')
            FROM (SELECT gate, count(*) AS n FROM call WHERE gate IS NOT NULL GROUP BY gate)
                AS stopped) AS block_gates
        FROM call
    ) AS gateway)::text
"""

SUCCESSES: Final = """
    count(*) AS total,
    count(*) FILTER (WHERE success) AS success,
    count(*) FILTER (WHERE NOT success) AS failed
"""

LEGACY: Final = f"""
    (SELECT row_to_json(legacy) FROM (
        SELECT
            'awooop_run_legacy_mcp_evidence_v1' AS schema_version,
            'mcp_audit_log' AS source,
            (SELECT to_json(incidents) FROM subject) AS incident_ids,
            (SELECT count(*) FROM record) AS total,
            {RECORDS_LISTED} AS limit,
            (SELECT coalesce(json_agg(detail ORDER BY created_at DESC, id DESC), '[]') FROM (
                SELECT * FROM record ORDER BY created_at DESC, id DESC LIMIT {RECORDS_LISTED}
            ) AS newest) AS records,
            (SELECT row_to_json(overall) FROM (
                SELECT {SUCCESSES}, (
                    SELECT coalesce(json_agg(tool ORDER BY total DESC,
                        mcp_server COLLATE "C" NULLS FIRST,
                        tool_name COLLATE "C" NULLS FIRST), '[]')
                    FROM (
                        SELECT of.mcp_server, of.tool_name, {SUCCESSES}
                        FROM record CROSS JOIN LATERAL
                            json_to_record(detail) AS of (mcp_server text, tool_name text)
                        GROUP BY of.mcp_server, of.tool_name
                    ) AS tool
                ) AS by_server_tool
                FROM record
            ) AS overall) AS summary
    ) AS legacy)::text
"""

# The newest of a group gives what is latest; groups stand where their newest stands.
WORK_ITEMS: Final = """
    SELECT of.work_item_id, of.incident_id, work.count,
        of.created_at AS latest_at, of.verification_result_preview AS latest_preview,
        of.mode AS latest_mode, first.metadata ->> 'mcp_route' AS latest_route, first.place
    FROM (
        SELECT min(place) AS place, count(*) AS count
        FROM visible CROSS JOIN LATERAL
            json_to_record(detail) AS of (work_item_id text, incident_id text)
        GROUP BY coalesce(nullif(of.work_item_id, ''), of.incident_id)
    ) AS work
    JOIN visible first ON first.place = work.place
    CROSS JOIN LATERAL json_to_record(first.detail) AS of (
        work_item_id text, incident_id text, created_at text,
        verification_result_preview text, mode text)
"""

REMEDIATION: Final = f"""
    (SELECT row_to_json(history) FROM (
        SELECT
            'awooop_run_remediation_evidence_v1' AS schema_version,
            'alert_operation_log' AS source,
            (SELECT to_json(incidents) FROM subject) AS incident_ids,
            (SELECT count(*) FROM remedy) AS total,
            {REMEDIES_LISTED} AS limit,
            (SELECT coalesce(json_agg(detail ORDER BY place), '[]') FROM visible) AS items,
            (SELECT coalesce(json_agg(row_to_json(line) ORDER BY work.place), '[]')
            FROM ({WORK_ITEMS}) AS work CROSS JOIN LATERAL (
                SELECT work.work_item_id, work.incident_id, work.count, work.latest_at,
                    work.latest_preview, work.latest_mode, work.latest_route
            ) AS line) AS by_work_item,
            '[]'::json AS errors
    ) AS history)::text
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

DETAIL: Final = f"""
    -- detail: everything about one run
    WITH subject AS MATERIALIZED ({SUBJECT}),
    related AS MATERIALIZED (
        SELECT k.event_uuid FROM subject s CROSS JOIN LATERAL ({belonging("i.event_uuid")}) AS k
    ),
    call AS MATERIALIZED (
        SELECT of.tool_name, of.result_status, nullif(of.block_gate, '') AS gate,
            of.is_shadow::text = 'true' AS is_shadow,
            of.policy_enforced::text = 'true' AS is_enforced
        FROM subject s
        JOIN item t ON t.run_id = s.run_id AND t.rank = 5 AND t.project_id = s.project_id
        CROSS JOIN LATERAL json_to_record(t.detail) AS of (
            tool_name text, result_status text, block_gate text,
            is_shadow json, policy_enforced json)
    ),
    record AS MATERIALIZED (
        SELECT t.created_at, t.id, t.success, t.detail
        FROM subject s
        JOIN evidence t ON t.incident_id = ANY (s.incidents) AND t.rank = 6
            AND (t.project_id IS NULL OR t.project_id = s.project_id)
    ),
    remedy AS MATERIALIZED (
        SELECT t.created_at, t.id, t.metadata, t.detail
        FROM subject s
        JOIN evidence t ON t.incident_id = ANY (s.incidents) AND t.rank = 7
            AND (t.project_id IS NULL OR t.project_id = s.project_id)
    ),
    visible AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY created_at DESC, id DESC) AS place, *
        FROM remedy ORDER BY created_at DESC, id DESC LIMIT {REMEDIES_LISTED}
    ),
    entry AS MATERIALIZED ({ENTRIES}),
    shown AS (SELECT * FROM entry {ORDER} LIMIT $4::bigint)
    SELECT s.detail AS run, {STEPS} AS steps, {INBOUND} AS inbound_events,
        {OUTBOUND} AS outbound_messages, {CALLS} AS mcp_calls, {GATEWAY} AS mcp_gateway,
        {LEGACY} AS mcp_legacy, {REMEDIATION} AS remediation_history, {SHOWN} AS timeline,
        {COUNTS} AS counts, s.summary AS remediation_summary,
        last.ts, last.rank, last.seq, last.tie
    FROM subject s
    LEFT JOIN {LAST} AS last ON (SELECT count(*) FROM entry) > $4::bigint
"""

MEMBERS: Final = (
    *("run", "steps", "inbound_events", "outbound_messages", "mcp_calls", "mcp_gateway"),
    *("mcp_legacy", "remediation_history", "timeline", "counts", "remediation_summary"),
)
"""Members of the answer, each JSON text of its own."""


async def detail(
    snapshot: Snapshot, parameters: DetailParameters, run_id: str, language: Language
) -> Answer:
    """Return the detail of a run. Raises `Problem`: 404."""
    project = parameters.project_id
    row = await snapshot.row(DETAIL, run_id, project, language, LISTED, ALL_KINDS, *BEGINNING)
    if row is None:
        raise not_found("run")
    body = {name: Json(row[name]) for name in MEMBERS}
    return body | {"timeline_next_cursor": next_cursor(row, run_id)}, row["as_of"]
