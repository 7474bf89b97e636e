"""Topic `mcp-legacy-audit`: tool calls from the time before the gateway, found by incident."""

from contracts.events.fields import EventData, Id, Int64, ProjectId, Text, TextId, Timestamp


class LegacyCallAudited(EventData):
    """One tool call of the older audit log. Entity: the record, `id`."""

    event_type = "awooop.mcp.legacy_call_audited.v1"

    id: TextId
    """The record; text or integer, kept as text."""
    incident_id: Id | None = None
    """Incident the call was made for."""
    project_id: ProjectId | None = None
    """Project it is limited to; null bears on runs of any project."""
    session_id: Id | None = None
    """Session the call was part of."""
    flywheel_node: Text | None = None
    """Node of the flywheel that made the call."""
    mcp_server: Text | None = None
    """Server that was called."""
    tool_name: Text | None = None
    """Tool that was called."""
    duration_ms: Int64 | None = None
    """Time the call took, in milliseconds."""
    success: bool | None = None
    """Whether it succeeded, if that is known."""
    error_message: Text | None = None
    """The error in words."""
    agent_role: Text | None = None
    """Role of the agent that made the call."""
    created_at: Timestamp
    """When the call was made."""
