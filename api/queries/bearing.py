"""What a run's calls and the evidence that bears on it come to: parts of the detail, as SQL.

Each is an expression that gives the text of a JSON object, over the tables `subject` (the run)
and those defined here; counts are over everything, lists are cut at their limits.
"""

from typing import Final

RECORDS_LISTED: Final = 100
ITEMS_LISTED: Final = 20

TABLES: Final = """
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
        FROM remedy ORDER BY created_at DESC, id DESC LIMIT {items_listed}
    )
""".replace("{items_listed}", str(ITEMS_LISTED))

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

# The newest of a group says what is latest; groups stand where their newest stands.
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
            {ITEMS_LISTED} AS limit,
            (SELECT coalesce(json_agg(detail ORDER BY place), '[]') FROM visible) AS items,
            (SELECT coalesce(json_agg(row_to_json(line) ORDER BY work.place), '[]')
            FROM ({WORK_ITEMS}) AS work CROSS JOIN LATERAL (
                SELECT work.work_item_id, work.incident_id, work.count, work.latest_at,
                    work.latest_preview, work.latest_mode, work.latest_route
            ) AS line) AS by_work_item,
            '[]'::json AS errors
    ) AS history)::text
"""
