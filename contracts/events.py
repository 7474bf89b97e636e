"""The ten kinds of event: the fields of each payload."""

from decimal import Decimal
from typing import ClassVar, Literal

from msgspec import Struct

from contracts.fields import (
    Amount,
    Cost,
    Count,
    Id,
    Int64,
    JsonObject,
    ProjectId,
    State,
    Text,
    TextId,
    Timestamp,
    Uuid,
)


class Payload(Struct, frozen=True, gc=False):
    """The payload of one kind of event, which never changes once read.

    Fields it does not know are ignored: a producer may be newer than its reader.
    """

    event_type: ClassVar[str]
    """CloudEvents type of the events that carry it."""


class PendingAction(Struct, frozen=True, kw_only=True, gc=False):
    """What a run that waits for approval asks a human to allow."""

    tool_name: Text
    summary: Text | None = None
    """What the call would do, for the human who decides."""
    arguments_sha256: Text | None = None
    """SHA-256 of the arguments of the call, so that an approval covers these and no others."""
    requested_by: Text | None = None
    """Who asks; never the one who may decide."""


class RunStateChanged(Payload, frozen=True, kw_only=True):
    """A full snapshot of a run. Entity: the run, `run_id`."""

    event_type = "awooop.run.state_changed.v1"

    run_id: Uuid
    project_id: ProjectId
    agent_id: Id
    state: State
    """State the run is in: `pending`, `running`, `waiting_approval`, `completed`, `failed`,
    `cancelled`, `timed_out`, or one that came later.
    """
    state_changed_at: Timestamp
    created_at: Timestamp
    is_shadow: bool = False
    """Whether the run only watches and must not act."""
    trace_id: Id | None = None
    trigger_type: Text | None = None
    trigger_ref: Text | None = None
    """What started the run: an inbound event's id, a provider's event id, or other text."""
    worker_id: Id | None = None
    cost_usd: Cost = Decimal(0)
    step_count: Count = 0
    attempt_count: Count = 0
    max_attempts: Int64 | None = None
    error_code: Text | None = None
    error_detail: Text | None = None
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    timeout_at: Timestamp | None = None
    """When the run will be given up."""
    heartbeat_at: Timestamp | None = None
    pending_action: PendingAction | None = None
    """What a human is asked to allow."""


class StepRecorded(Payload, frozen=True, kw_only=True):
    """One step of a run. Entity: the step, `run_id` and `step_id`."""

    event_type = "awooop.run.step_recorded.v1"

    step_id: Id
    """The step, unique within its run."""
    run_id: Uuid
    project_id: ProjectId
    step_seq: Count
    tool_name: Text
    result_status: Text
    was_blocked: bool = False
    block_reason: Text | None = None
    error_code: Text | None = None
    latency_ms: Int64 | None = None
    created_at: Timestamp
    completed_at: Timestamp | None = None


class MessageOutbound(Payload, frozen=True, kw_only=True):
    """One message from a run to people. Entity: the message, `message_id`."""

    event_type = "awooop.channel.message_outbound.v1"

    message_id: Id
    run_id: Uuid
    project_id: ProjectId
    channel_type: Text
    message_type: Text
    """Part it plays: `approval_request`, `error`, `final`, `interim`, or another."""
    content_preview: Text | None = None
    send_status: Text
    send_error: Text | None = None
    provider_message_id: Id | None = None
    queued_at: Timestamp
    sent_at: Timestamp | None = None
    triggered_by_state: Text | None = None


class EventReceived(Payload, frozen=True, kw_only=True):
    """One inbound event of a channel. Entity: the inbound event, `event_id`."""

    event_type = "awooop.channel.event_received.v1"

    event_id: Uuid
    project_id: ProjectId
    run_id: Uuid | None = None
    channel_type: Text
    provider_event_id: Id | None = None
    """The channel provider's own id of the event."""
    channel_chat_id: Id | None = None
    content_preview: Text | None = None
    content_redacted: Text | None = None
    """Its content with secrets taken out."""
    source_envelope: JsonObject | None = None
    """What the channel delivered around the content, as it came."""
    is_duplicate: bool = False
    """Whether the platform had seen it before."""
    received_at: Timestamp


class GatewayCallAudited(Payload, frozen=True, kw_only=True):
    """One tool call as the gateway saw it. Entity: the call, `call_id`."""

    event_type = "awooop.mcp.gateway_call_audited.v1"

    call_id: Id
    run_id: Uuid
    project_id: ProjectId
    agent_id: Id | None = None
    tool_name: Text
    result_status: Text
    block_gate: Text | None = None
    """Gate that stopped the call."""
    block_reason: Text | None = None
    latency_ms: Int64 | None = None
    created_at: Timestamp
    gate_result: JsonObject | None = None
    """What the gates found; `required_scope`, `policy_enforced` and `is_shadow` among it."""


class LegacyCallAudited(Payload, frozen=True, kw_only=True):
    """One tool call of the older audit log. Entity: the record, `id`."""

    event_type = "awooop.mcp.legacy_call_audited.v1"

    id: TextId
    incident_id: Id | None = None
    project_id: ProjectId | None = None
    """Project it is limited to; null bears on runs of any project."""
    session_id: Id | None = None
    flywheel_node: Text | None = None
    mcp_server: Text | None = None
    tool_name: Text | None = None
    duration_ms: Int64 | None = None
    success: bool | None = None
    error_message: Text | None = None
    agent_role: Text | None = None
    created_at: Timestamp


class EvidenceRecorded(Payload, frozen=True, kw_only=True):
    """One item of the evidence on an incident. Entity: the item, `id`."""

    event_type = "awooop.remediation.evidence_recorded.v1"

    id: TextId
    incident_id: Id
    project_id: ProjectId | None = None
    """Project it is limited to; null bears on runs of any project."""
    work_item_id: Id | None = None
    agent_id: Id | None = None
    tool_name: Text | None = None
    required_scope: Text | None = None
    """Scope the tool needs: `read` or more."""
    mode: Text | None = None
    """How the attempt was made, a dry run for one."""
    success: bool | None = None
    allowed: bool | None = None
    verification_result_preview: Text | None = None
    writes_incident_state: bool | None = None
    writes_auto_repair_result: bool | None = None
    created_at: Timestamp


class ProjectUpserted(Payload, frozen=True, kw_only=True):
    """A project as it is now. Entity: the project, `project_id`."""

    event_type = "awooop.project.upserted.v1"

    project_id: ProjectId
    display_name: Text
    migration_mode: Text | None = None
    """How far it has moved to the platform."""
    budget_limit_usd: Amount | None = None
    """Most it may spend, in US dollars; null is no limit."""
    is_active: bool = True
    created_at: Timestamp


class RevisionUpserted(Payload, frozen=True, kw_only=True):
    """A revision of a contract as it is now. Entity: the revision, `revision_id`."""

    event_type = "awooop.contract.revision_upserted.v1"

    revision_id: Id
    contract_id: Id
    contract_family: Text
    lifecycle_status: Text
    """Where it stands between draft and retirement."""
    body_hash: Text
    version_major: Count
    version_minor: Count
    project_id: ProjectId
    created_at: Timestamp


class ApprovalDecided(Payload, frozen=True, kw_only=True):
    """One decision on a run that waits for approval. Entity: the decision, `command_id`."""

    event_type = "awooop.run.approval_decided.v1"

    command_id: Uuid
    """The decision, and the id of its event."""
    run_id: Uuid
    project_id: ProjectId
    decision: Literal["approve", "reject"]
    approver_id: Id
    reason: Text | None = None
    run_version: Int64
    """The run's `entityversion` that was decided on."""
    tool_name: Text | None = None
    arguments_sha256: Text | None = None
    approval_token: Text | None = None
    """Signed JWT that proves the approval; only when approved."""
    approval_token_jti: Text | None = None
    """Id of the token, by which its single use is checked."""
    decided_at: Timestamp
    new_state: Literal["running", "cancelled"]
    """State the engine is asked to move the run to."""
