"""The design that views replace: normalised tables, joined and counted for every request.

Written as well as it can be: every join has its index, a page is joined in one statement and not
run by run, and where no status is asked for, only the page's runs are joined. What a message says
is text, as it came; `index_texts` adds an index on the incident ids in it, which costs every write.
Its answers are compared with those of the views.
"""

from typing import Any, Final

import asyncpg
import orjson

from api.queries.run_filter import RunParameters
from api.queries.runs import RunKey
from api.reading import Arguments, every
from contracts.incidents import unique
from projector.projections.summary import Evidence, summarise

SCHEMA: Final = r"""
    CREATE SCHEMA normalised;
    SET search_path = normalised;

    CREATE TABLE run AS
    SELECT fact.run_id, fact.project_id, fact.state, fact.created_at, fact.trigger_event,
        of.trigger_ref, of.error_detail, fact.listing
    FROM g_main.run_fact AS fact
    CROSS JOIN LATERAL json_to_record(fact.detail) AS of (trigger_ref text, error_detail text);
    ALTER TABLE run ADD PRIMARY KEY (run_id);
    CREATE INDEX ON run (created_at, run_id);
    CREATE INDEX ON run (project_id, created_at, run_id);
    CREATE INDEX ON run (state, created_at, run_id);
    CREATE INDEX ON run (project_id, state, created_at, run_id);
    CREATE INDEX ON run (trigger_ref);
    CREATE INDEX ON run (trigger_event);

    CREATE TABLE inbound AS
    SELECT event_uuid, project_id, run_id, provider_event_id, received_at,
        summary AS content_preview
    FROM g_main.inbound;
    ALTER TABLE inbound ADD PRIMARY KEY (event_uuid);
    CREATE INDEX ON inbound (run_id);
    CREATE INDEX ON inbound (provider_event_id);

    CREATE TABLE message AS
    SELECT item.tie AS message_id, item.run_id, item.project_id, of.*
    FROM g_main.item
    CROSS JOIN LATERAL json_to_record(item.detail) AS of (
        queued_at timestamptz, content_preview text, send_error text)
    WHERE item.rank = 9;
    ALTER TABLE message ADD PRIMARY KEY (message_id);
    CREATE INDEX ON message (run_id, queued_at, message_id);

    CREATE TABLE remediation AS
    SELECT evidence.id, evidence.incident_id, evidence.project_id, evidence.created_at, of.*,
        evidence.detail
    FROM g_main.evidence
    CROSS JOIN LATERAL json_to_record(evidence.detail) AS of (
        success boolean, allowed boolean, required_scope text,
        writes_incident_state boolean, writes_auto_repair_result boolean)
    WHERE evidence.rank = 7;
    CREATE INDEX ON remediation (incident_id, created_at, id);

    CREATE TABLE record AS
    SELECT id, incident_id, project_id, created_at, success, detail
    FROM g_main.evidence
    WHERE rank = 6;
    CREATE INDEX ON record (incident_id, created_at, id);

    CREATE TABLE step AS
    SELECT tie AS step_id, seq AS step_seq, run_id, project_id, detail
    FROM g_main.item WHERE rank = 4;
    CREATE INDEX ON step (run_id, step_seq, step_id);

    CREATE TABLE call AS
    SELECT tie AS call_id, listed_at AS created_at, run_id, project_id, detail
    FROM g_main.item WHERE rank = 5;
    CREATE INDEX ON call (run_id, created_at, call_id);

    CREATE FUNCTION incident_ids(said text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT coalesce(array_agg(found[1]), '{}')
        FROM regexp_matches(said, '\m(INC-\d{8}-[A-Z0-9]{4,})\M', 'g') AS found
    $$;
"""
TEXTS: Final = {
    "run": "coalesce(trigger_ref, '') || ' ' || coalesce(error_detail, '')",
    "inbound": "coalesce(content_preview, '')",
    "message": "coalesce(content_preview, '') || ' ' || coalesce(send_error, '')",
}
"""What of each table may name an incident."""

HEARD_BY: Final = (
    "i.run_id = r.run_id",
    "i.event_uuid = r.trigger_event",
    "i.provider_event_id = r.trigger_ref",
)
OF_INBOUND: Final = "".join(
    f"""
            UNION ALL
            SELECT r.run_id, r.project_id, 2, i.received_at, i.event_uuid::text, i.content_preview
            FROM wanted w JOIN run r USING (run_id)
            JOIN inbound i ON {on} AND i.project_id = r.project_id"""
    for on in HEARD_BY
)
MENTIONS: Final = rf"""
    mention AS (
        SELECT said.run_id, said.project_id, found.id[1] AS incident_id,
            said.source, said.at, said.tie, found.place
        FROM (
            SELECT r.run_id, r.project_id, 1 AS source, NULL::timestamptz AS at, '' AS tie,
                {TEXTS["run"]} AS text
            FROM wanted w JOIN run r USING (run_id)
            {OF_INBOUND}
            UNION ALL
            SELECT r.run_id, r.project_id, 3, m.queued_at, m.message_id, {TEXTS["message"]}
            FROM wanted w JOIN run r USING (run_id)
            JOIN message m ON m.run_id = r.run_id AND m.project_id = r.project_id
        ) AS said
        CROSS JOIN LATERAL regexp_matches(said.text, '\m(INC-\d{{8}}-[A-Z0-9]{{4,}})\M', 'g')
            WITH ORDINALITY AS found (id, place)
        WHERE said.text LIKE '%INC-%'
    )
"""
NAMED: Final = "(SELECT DISTINCT run_id, project_id, incident_id FROM mention) AS n"
BEARS: Final = """ON e.incident_id = n.incident_id
            AND (e.project_id IS NULL OR e.project_id = n.project_id)"""
STATUSES: Final = f"""
    latest AS (
        SELECT DISTINCT ON (n.run_id) n.run_id, e.*
        FROM {NAMED} JOIN remediation e {BEARS}
        ORDER BY n.run_id, e.created_at DESC, e.id DESC
    ),
    observed AS (SELECT DISTINCT n.run_id FROM {NAMED} JOIN record e {BEARS}),
    judged AS (
        SELECT w.run_id, w.created_at,
            CASE
                WHEN latest.run_id IS NULL AND observed.run_id IS NULL THEN 'no_evidence'
                WHEN latest.run_id IS NULL THEN 'mcp_observed'
                WHEN NOT latest.success OR NOT latest.allowed THEN 'blocked'
                WHEN latest.writes_incident_state OR latest.writes_auto_repair_result
                    THEN 'write_observed'
                WHEN latest.required_scope = 'read' AND NOT latest.writes_incident_state
                    AND NOT latest.writes_auto_repair_result THEN 'read_only_dry_run'
                ELSE 'observed'
            END AS status
        FROM wanted w
        LEFT JOIN latest USING (run_id)
        LEFT JOIN observed USING (run_id)
    )
"""
ITEMS: Final = {
    "steps": ("step", "step_seq, step_id"),
    "mcp_calls": ("call", "created_at, call_id"),
    "outbound_messages": ("message", "queued_at, message_id"),
}
HEARD: Final = """
    SELECT * FROM inbound
    WHERE project_id = $2
        AND (run_id = $1 OR event_uuid = $3 OR provider_event_id = $4)
    ORDER BY received_at, event_uuid
"""
SUMMARIES: Final = f"""
    WITH wanted AS (SELECT unnest($1::uuid[]) AS run_id), {MENTIONS},
    ordered AS (
        SELECT run_id, incident_id,
            row_number() OVER (PARTITION BY run_id ORDER BY source, at, tie, place) AS nth
        FROM mention
    ),
    bearing AS (
        SELECT n.run_id, 7 AS rank, e.created_at, e.id, e.success, e.detail
        FROM {NAMED} JOIN remediation e {BEARS}
        UNION ALL
        SELECT n.run_id, 6, e.created_at, e.id, e.success, e.detail
        FROM {NAMED} JOIN record e {BEARS}
    ),
    found AS (
        SELECT run_id, rank, count(*) AS total, count(*) FILTER (WHERE success) AS success,
            count(*) FILTER (WHERE NOT success) AS failed
        FROM bearing
        GROUP BY run_id, rank
    ),
    newest AS (
        SELECT DISTINCT ON (run_id, rank) run_id, rank, created_at, id, detail
        FROM bearing
        ORDER BY run_id, rank, created_at DESC, id DESC
    )
    SELECT r.run_id, r.state, r.listing,
        (SELECT array_agg(incident_id ORDER BY nth) FROM ordered WHERE run_id = r.run_id)
            AS incidents,
        (SELECT json_agg(row_to_json(each)) FROM (
            SELECT rank, total, success, failed, created_at, id, detail
            FROM found JOIN newest USING (run_id, rank)
            WHERE run_id = r.run_id
        ) AS each) AS bearing
    FROM wanted JOIN run r USING (run_id)
    ORDER BY r.created_at DESC, r.run_id DESC
"""


async def create(connection: asyncpg.Connection) -> None:
    """Make the tables from the facts that the views of this database keep."""
    await connection.execute("SET maintenance_work_mem = '512MB'")
    # enough for its sorts and hashes, which the views do not need
    await connection.execute("SET work_mem = '64MB'")
    await connection.execute(SCHEMA)
    await connection.execute("VACUUM ANALYZE")


async def index_texts(connection: asyncpg.Connection) -> None:
    for table, text in TEXTS.items():
        await connection.execute(f"CREATE INDEX ON {table} USING gin (incident_ids({text}))")
        await connection.execute(f"ANALYZE {table}")


async def detail(connection: asyncpg.Connection, run_id: str) -> dict[str, int]:
    """Fetch the rows that the detail of a run is made of, and count those of each table.

    One statement a table, none a row. What is left to do, putting the timeline in order and
    adding up, is not in it.
    """
    fetch = connection.fetch
    (run,) = await fetch("SELECT * FROM run WHERE run_id = $1", run_id)
    own = "SELECT * FROM {} WHERE run_id = $1 AND project_id = $2 ORDER BY {}"
    found = {
        name: await fetch(own.format(table, order), run_id, run["project_id"])
        for name, (table, order) in ITEMS.items()
    }
    await fetch(HEARD, run_id, run["project_id"], run["trigger_event"], run["trigger_ref"])
    (named,) = await fetch(SUMMARIES, [run_id])
    bearing = (
        "SELECT * FROM {} WHERE incident_id = ANY($1)"
        " AND (project_id IS NULL OR project_id = $2) ORDER BY created_at DESC, id DESC"
    )
    for name, table in (("legacy_mcp_calls", "record"), ("remediation_history", "remediation")):
        about = named["incidents"] or []
        found[name] = await fetch(bearing.format(table), about, run["project_id"])
    return {name: len(rows) for name, rows in found.items()}


async def page(
    connection: asyncpg.Connection,
    where: RunParameters,
    after: RunKey | None,
    limit: int,
    *,
    is_indexed: bool,
) -> tuple[list[dict[str, Any]], int]:
    """The runs of a page, and how many there are in all; `is_indexed` once `index_texts` was."""
    bind = Arguments()
    conditions = [
        *RunParameters(project_id=where.project_id, state=where.state).chosen(bind, "r"),
        *where.ranged(bind, "r"),
    ]
    if where.incident_id:
        conditions.append(_of_incident(bind.bind(where.incident_id, "text"), is_indexed=is_indexed))
    scope = f"SELECT r.run_id, r.created_at FROM run r WHERE {every(conditions)}"
    tables, source, start = "", f"({scope})", "true"
    if where.remediation_status is not None:
        statuses = bind.bind(where.remediation_status, "text[]")
        tables = f"""
            WITH wanted AS MATERIALIZED ({scope}), {MENTIONS}, {STATUSES}, shown AS MATERIALIZED (
                SELECT * FROM judged WHERE status = ANY ({statuses}))
        """
        source = "shown"
    if after is not None:
        created_at = bind.bind(after.created_at, "timestamptz")
        start = f"(created_at, run_id) < ({created_at}, {bind.bind(after.run_id, 'uuid')})"
    statement = f"""
        {tables}
        SELECT counted.total, page.run_id
        FROM (SELECT count(*) AS total FROM {source} AS s) AS counted
        LEFT JOIN (
            SELECT run_id FROM {source} AS s WHERE {start}
            ORDER BY created_at DESC, run_id DESC LIMIT {limit}
        ) AS page ON true
    """
    rows = await connection.fetch(statement, *bind)
    runs = [row["run_id"] for row in rows if row["run_id"] is not None]
    return [_listed(row) for row in await connection.fetch(SUMMARIES, runs)], rows[0]["total"]


def _of_incident(given: str, *, is_indexed: bool) -> str:
    names = {
        table: f"incident_ids({text}) @> ARRAY[{given}]"
        if is_indexed
        else f"strpos({text}, {given}) > 0 AND {text} ~ ('\\m' || {given} || '\\M')"
        for table, text in TEXTS.items()
    }
    heard = f"(SELECT * FROM inbound WHERE {names['inbound']}) AS i"
    return f"""
        r.run_id IN (
            SELECT run_id FROM run WHERE {names["run"]}
            UNION SELECT run_id FROM message WHERE {names["message"]}
            UNION SELECT i.run_id FROM {heard}
            UNION SELECT t.run_id FROM {heard}
                JOIN run t ON t.trigger_event = i.event_uuid AND t.project_id = i.project_id
            UNION SELECT t.run_id FROM {heard}
                JOIN run t ON t.trigger_ref = i.provider_event_id AND t.project_id = i.project_id
        )
    """


def _listed(row: asyncpg.Record) -> dict[str, Any]:
    bearing: dict[int, list[Evidence]] = {6: [], 7: []}
    for each in orjson.loads(row["bearing"] or "[]"):
        key = each["created_at"], each["id"]
        counts = each["total"], each["success"], each["failed"]
        bearing[each["rank"]].append(Evidence(*counts, key, each["detail"]))
    incidents = unique(row["incidents"] or [])
    summary = summarise(incidents, row["state"], bearing[7], bearing[6])
    return {**orjson.loads(row["listing"]), "remediation_summary": summary}
