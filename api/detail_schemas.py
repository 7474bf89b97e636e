"""The detail of a run and its timeline, as the OpenAPI document states them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.queries.timeline import Kind
from api.schemas import (
    Answer,
    Count,
    InboundEvent,
    Metadata,
    PendingAction,
    RemediationSummary,
    RunHead,
    View,
)


class Entry(Answer):
    """Something that happened in a run."""

    ts: datetime
    kind: Kind
    title: str
    """What, in the language of the answer."""
    status: str | None
    """How it stands or ended."""
    summary: str | None
    """More in words."""
    metadata: Metadata
    """More for programs; which members depends on the kind."""


class TimelinePage(View):
    """A page of a timeline, oldest first."""

    timeline: list[Entry]
    next_cursor: str | None
    """Cursor of the next page; null on the last one."""


class RunSnapshot(RunHead):
    """A run as it is now."""

    state_changed_at: datetime
    trace_id: str | None
    trigger_type: str | None
    trigger_ref: str | None
    worker_id: str | None
    attempt_count: Count
    max_attempts: int | None
    error_code: str | None
    error_detail: str | None
    started_at: datetime | None
    completed_at: datetime | None
    heartbeat_at: datetime | None
    pending_action: PendingAction | None


class Step(Answer):
    """A step of the run."""

    step_id: str
    step_seq: Count
    tool_name: str
    result_status: str
    was_blocked: bool
    block_reason: str | None
    error_code: str | None
    latency_ms: int | None
    created_at: datetime
    completed_at: datetime | None


class OutboundMessage(Answer):
    """A message the run sent."""

    message_id: str
    channel_type: str
    message_type: str
    content_preview: str | None
    send_status: str
    send_error: str | None
    provider_message_id: str | None
    queued_at: datetime
    sent_at: datetime | None
    triggered_by_state: str | None


class McpCall(Answer):
    """A tool call the run made through the gateway."""

    call_id: str
    agent_id: str | None
    tool_name: str
    result_status: str
    block_gate: str | None
    block_reason: str | None
    latency_ms: int | None
    created_at: datetime
    gate_result: dict[str, Any] | None
    required_scope: Any
    """From `gate_result`, as the gate wrote it."""
    policy_enforced: Any
    """From `gate_result`, as the gate wrote it."""
    is_shadow: Any
    """From `gate_result`, as the gate wrote it."""


class Outcomes(Answer):
    """How calls ended."""

    total: Count
    success: Count
    failed: Count


class ToolCalls(Outcomes):
    """How the calls of one tool ended."""

    tool_name: str
    blocked: Count


class McpGateway(Outcomes):
    """How all calls of the run ended."""

    blocked: Count
    shadow: Count
    policy_enforced: Count
    by_tool: list[ToolCalls]
    """Most calls first."""
    block_gates: dict[str, Count]
    """How many calls each gate blocked."""


class LegacyRecord(Answer):
    """A tool call of the older audit log."""

    id: str
    incident_id: str | None
    project_id: str | None
    session_id: str | None
    flywheel_node: str | None
    mcp_server: str | None
    tool_name: str | None
    duration_ms: int | None
    success: bool | None
    error_message: str | None
    agent_role: str | None
    created_at: datetime


class ServerToolCalls(Outcomes):
    """How the legacy calls of one tool ended."""

    mcp_server: str | None
    tool_name: str | None


class LegacySummary(Outcomes):
    """How all legacy calls ended."""

    by_server_tool: list[ServerToolCalls]
    """Most calls first."""


class McpLegacy(Answer):
    """Legacy records that bear on the run."""

    schema_version: Literal["awooop_run_legacy_mcp_evidence_v1"]
    source: Literal["mcp_audit_log"]
    incident_ids: list[str]
    total: Count
    limit: int
    records: list[LegacyRecord] = Field(max_length=100)
    """Newest first."""
    summary: LegacySummary


class RemediationItem(Answer):
    """What an attempt to remedy an incident has shown."""

    id: str
    incident_id: str
    project_id: str | None
    work_item_id: str | None
    agent_id: str | None
    tool_name: str | None
    required_scope: str | None
    mode: str | None
    success: bool | None
    allowed: bool | None
    verification_result_preview: str | None
    writes_incident_state: bool | None
    writes_auto_repair_result: bool | None
    created_at: datetime


class WorkItem(Answer):
    """The listed attempts of one work item."""

    work_item_id: str | None
    incident_id: str
    count: Count
    latest_at: datetime
    latest_preview: str | None
    latest_mode: str | None
    latest_route: str


class RemediationHistory(Answer):
    """Remediation items that bear on the run."""

    schema_version: Literal["awooop_run_remediation_evidence_v1"]
    source: Literal["alert_operation_log"]
    incident_ids: list[str]
    total: Count
    limit: int
    items: list[RemediationItem] = Field(max_length=20)
    """Newest first."""
    by_work_item: list[WorkItem]
    """The listed items by work item, else by incident."""
    errors: list[str] = Field(max_length=0)


class Counts(Answer):
    """Exact numbers of what the lists show the first of."""

    steps: Count
    inbound_events: Count
    outbound_messages: Count
    mcp_calls: Count
    legacy_mcp_calls: Count
    remediation_history: Count
    timeline: Count


class RunDetail(View):
    """Everything told of one run; each list is its first 100."""

    run: RunSnapshot
    steps: list[Step] = Field(max_length=100)
    inbound_events: list[InboundEvent] = Field(max_length=100)
    outbound_messages: list[OutboundMessage] = Field(max_length=100)
    mcp_calls: list[McpCall] = Field(max_length=100)
    mcp_gateway: McpGateway
    mcp_legacy: McpLegacy
    remediation_history: RemediationHistory
    timeline: list[Entry] = Field(max_length=100)
    timeline_next_cursor: str | None
    """Cursor for the rest of the timeline; null when all of it is here."""
    counts: Counts
    remediation_summary: RemediationSummary
