"""The approval queue, and what became of a decision."""

from typing import Final

import orjson

from api.parameters import Boolean, Parameters, ProjectId, RemediationStatus, Uuid
from api.problems import not_found
from api.reading import Answer, Arguments, Snapshot, every
from api.responses import Json
from contracts.keys import decision_key

DECISION: Final = """
    coalesce(r.decision, CASE WHEN c.command_id IS NOT NULL THEN json_build_object(
        'command_id', c.command_id, 'decision', c.decision, 'approver_id', c.approver_id,
        'decided_at', runfold.rfc3339(c.decided_at),
        'status', CASE WHEN c.published_at IS NULL THEN 'pending' ELSE 'published' END
    ) END)
"""
"""The decision on a run `r` at its present version, `c` being the command of that version.

What has been read back from the topic has been published, whatever the outbox says."""


class QueueParameters(Parameters):
    """Parameters of the approval queue."""

    project_id: list[ProjectId] | None = None
    """Only these projects."""
    run_id: Uuid | None = None
    """Only this run."""
    remediation_status: list[RemediationStatus] | None = None
    """Only runs whose summary has one of these statuses."""
    include_decided: Boolean = False
    """Also runs that have been decided on at their present version."""


QUEUE: Final = f"""
    -- approvals: the runs that wait for a human
    SELECT '[' || coalesce(string_agg(row_to_json(line)::text, ','
        ORDER BY r.created_at, r.run_id), '') || ']' AS approvals, count(*) AS total
    FROM run r
    LEFT JOIN runfold.command c ON c.run_id = r.run_id AND c.run_version = r.version
    CROSS JOIN LATERAL (
        SELECT r.run_id, r.project_id,
            r.listing -> 'agent_id' AS agent_id,
            r.listing -> 'created_at' AS created_at,
            r.listing -> 'timeout_at' AS timeout_at,
            r.version AS run_version,
            r.pending_action, {DECISION} AS decision, r.summary AS remediation_summary
    ) AS line
    WHERE r.state = 'waiting_approval' AND {{within}}
"""


async def queue(snapshot: Snapshot, parameters: QueueParameters) -> Answer:
    """Return the runs that wait for approval, oldest first."""
    bind = Arguments()
    wanted = {
        "r.project_id = ANY ({})": (snapshot.bearer.among(parameters.project_id), "text[]"),
        "r.run_id = {}": (parameters.run_id, "uuid"),
        "r.status = ANY ({})": (parameters.remediation_status, "text[]"),
    }
    conditions = [
        condition.format(bind.bind(value, kind))
        for condition, (value, kind) in wanted.items()
        if value is not None
    ]
    if not parameters.include_decided:
        conditions.append("r.decision IS NULL AND c.command_id IS NULL")
    row = await snapshot.one(QUEUE.format(within=every(conditions)), *bind)
    waiting = Json(row["approvals"])
    return {"approvals": waiting, "total": row["total"], "items": waiting}, row["as_of"]


# A decision is known from the outbox or, where that has been lost, from the view alone. One that is
# in the view has been published. The run has left the version it was made on once the run has
# another: when it first changed its state, or else when it last changed at all.
COMMAND: Final = """
    -- approval command: what became of a decision
    WITH made AS MATERIALIZED (
        SELECT c.command_id,
            coalesce(c.run_id, t.run_id) AS run_id,
            coalesce(c.project_id, t.project_id) AS project_id,
            coalesce(c.run_version, t.run_version) AS run_version,
            coalesce(c.decision, t.status) AS decision,
            coalesce(c.decided_at, t.ts) AS decided_at,
            coalesce(c.published_at, t.event_time) AS published_at
        FROM (SELECT) AS one
        LEFT JOIN runfold.command c ON c.command_id = $2::uuid
        LEFT JOIN item t ON t.entity = $1::uuid AND t.rank = 8
    )
    SELECT row_to_json(line)::text AS command
    FROM made
    LEFT JOIN run_fact f ON f.run_id = made.run_id AND f.project_id = made.project_id
    CROSS JOIN LATERAL (
        SELECT $2::uuid AS command_id, made.run_id, made.decision,
            CASE
                WHEN f.version > made.run_version THEN 'applied'
                WHEN made.published_at IS NULL THEN 'pending'
                ELSE 'published'
            END AS status,
            runfold.rfc3339(made.published_at) AS published_at,
            CASE WHEN f.version > made.run_version THEN runfold.rfc3339(coalesce(
                (SELECT min(s.changed_at) FROM run_state s
                WHERE s.run_id = made.run_id AND s.project_id = made.project_id
                    AND s.changed_at > made.decided_at), f.event_time))
            END AS applied_at
    ) AS line
    WHERE made.command_id IS NOT NULL OR f.run_id IS NOT NULL
"""


async def command(snapshot: Snapshot, _: Parameters, command_id: str) -> Answer:
    """Return what became of a decision. Raises `Problem`: 404."""
    row = await snapshot.row(COMMAND, decision_key(command_id), command_id)
    if row is None:
        raise not_found("command")
    return orjson.loads(row["command"]), row["as_of"]
