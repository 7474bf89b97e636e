"""The events' fields as tables: what a topic carries, its fields, and what makes an entity."""

from decimal import Decimal
from typing import Any

from tests.reference.fields import (
    INT64,
    Fields,
    boolean,
    cost,
    decimal,
    defaults,
    integer,
    json_object,
    kept_object,
    may,
    must,
    one_of,
    read_all,
    state,
    text,
    text_or_integer,
    timestamp,
    uuid,
)

words = text(0, 8192)
ident = text(1, 200)
project = text(1, 128)
whole = integer(-INT64 - 1)
natural = integer(0)
of_run = (*must(uuid, "run_id"), *must(project, "project_id"))

PENDING_ACTION = (
    *must(words, "tool_name"),
    *may(words, "summary", "arguments_sha256", "requested_by"),
)


def pending_action(value: Any) -> dict[str, Any]:
    """What a human is asked to allow: the four fields of the contract and no other."""
    return read_all(PENDING_ACTION, json_object(value))


# (topic, type, what makes an entity, the order that entities come in)
TOPICS = (
    ("run-state", "run.state_changed", "run_id", "created_at run_id"),
    ("step-journal", "run.step_recorded", "run_id step_id", "step_seq step_id"),
    ("outbound-message", "channel.message_outbound", "message_id", "queued_at message_id"),
    ("conversation-event", "channel.event_received", "event_id", "received_at event_id"),
    ("mcp-gateway-audit", "mcp.gateway_call_audited", "call_id", "created_at call_id"),
    ("mcp-legacy-audit", "mcp.legacy_call_audited", "id", "created_at id"),
    ("remediation-evidence", "remediation.evidence_recorded", "id", "created_at id"),
    ("project", "project.upserted", "project_id", "project_id"),
    ("contract-revision", "contract.revision_upserted", "revision_id", "created_at revision_id"),
    ("approval-command", "run.approval_decided", "command_id", "decided_at command_id"),
)
TYPES = {topic: f"awooop.{name}.v1" for topic, name, _, _ in TOPICS}
ENTITIES = {topic: entity.split() for topic, _, entity, _ in TOPICS}
ORDER = {topic: order.split() for topic, _, _, order in TOPICS}

FIELDS: dict[str, Fields] = {
    "run-state": (
        *of_run,
        *must(ident, "agent_id"),
        *must(state, "state"),
        *must(timestamp, "state_changed_at", "created_at"),
        *defaults(boolean, False, "is_shadow"),
        *may(ident, "trace_id", "worker_id"),
        *may(words, "trigger_type", "trigger_ref", "error_code", "error_detail"),
        *defaults(cost, Decimal(0), "cost_usd"),
        *defaults(natural, 0, "step_count", "attempt_count"),
        *may(whole, "max_attempts"),
        *may(timestamp, "started_at", "completed_at", "timeout_at", "heartbeat_at"),
        *may(pending_action, "pending_action"),
    ),
    "step-journal": (
        *must(ident, "step_id"),
        *of_run,
        *must(natural, "step_seq"),
        *must(words, "tool_name", "result_status"),
        *defaults(boolean, False, "was_blocked"),
        *may(words, "block_reason", "error_code"),
        *may(whole, "latency_ms"),
        *must(timestamp, "created_at"),
        *may(timestamp, "completed_at"),
    ),
    "outbound-message": (
        *must(ident, "message_id"),
        *of_run,
        *must(words, "channel_type", "message_type", "send_status"),
        *may(words, "content_preview", "send_error", "triggered_by_state"),
        *may(ident, "provider_message_id"),
        *must(timestamp, "queued_at"),
        *may(timestamp, "sent_at"),
    ),
    "conversation-event": (
        *must(uuid, "event_id"),
        *must(project, "project_id"),
        *may(uuid, "run_id"),
        *must(words, "channel_type"),
        *may(ident, "provider_event_id", "channel_chat_id"),
        *may(words, "content_preview", "content_redacted"),
        *may(kept_object, "source_envelope"),
        *defaults(boolean, False, "is_duplicate"),
        *must(timestamp, "received_at"),
    ),
    "mcp-gateway-audit": (
        *must(ident, "call_id"),
        *of_run,
        *may(ident, "agent_id"),
        *must(words, "tool_name", "result_status"),
        *may(words, "block_gate", "block_reason"),
        *may(whole, "latency_ms"),
        *must(timestamp, "created_at"),
        *may(kept_object, "gate_result"),
    ),
    "mcp-legacy-audit": (
        *must(text_or_integer, "id"),
        *may(ident, "incident_id", "session_id"),
        *may(project, "project_id"),
        *may(words, "flywheel_node", "mcp_server", "tool_name", "error_message", "agent_role"),
        *may(whole, "duration_ms"),
        *may(boolean, "success"),
        *must(timestamp, "created_at"),
    ),
    "remediation-evidence": (
        *must(text_or_integer, "id"),
        *must(ident, "incident_id"),
        *may(project, "project_id"),
        *may(ident, "work_item_id", "agent_id"),
        *may(words, "tool_name", "required_scope", "mode", "verification_result_preview"),
        *may(boolean, "success", "allowed", "writes_incident_state", "writes_auto_repair_result"),
        *must(timestamp, "created_at"),
    ),
    "project": (
        *must(project, "project_id"),
        *must(words, "display_name"),
        *may(words, "migration_mode"),
        *may(decimal, "budget_limit_usd"),
        *defaults(boolean, True, "is_active"),
        *must(timestamp, "created_at"),
    ),
    "contract-revision": (
        *must(ident, "revision_id", "contract_id"),
        *must(words, "contract_family", "lifecycle_status", "body_hash"),
        *must(natural, "version_major", "version_minor"),
        *must(project, "project_id"),
        *must(timestamp, "created_at"),
    ),
    "approval-command": (
        *of_run,
        *must(uuid, "command_id"),
        *must(one_of("approve", "reject"), "decision"),
        *must(ident, "approver_id"),
        *must(whole, "run_version"),
        *may(words, "reason", "tool_name", "arguments_sha256"),
        *may(words, "approval_token", "approval_token_jti"),
        *must(timestamp, "decided_at"),
        *must(one_of("running", "cancelled"), "new_state"),
    ),
}
