"""Topic `mcp-gateway-audit`: tool calls that went through the MCP gateway."""

from contracts.events.fields import (
    EventData,
    Id,
    Int64,
    JsonObject,
    ProjectId,
    Text,
    Timestamp,
    Uuid,
)


class GatewayCallAudited(EventData):
    """One tool call as the gateway saw it. Entity: the call, `call_id`."""

    event_type = "awooop.mcp.gateway_call_audited.v1"

    call_id: Id
    """The call."""
    run_id: Uuid
    """Run that made the call."""
    project_id: ProjectId
    """Project of the run."""
    agent_id: Id | None = None
    """Agent that made the call."""
    tool_name: Text
    """Tool that was called."""
    result_status: Text
    """How the call ended."""
    block_gate: Text | None = None
    """Gate that stopped the call."""
    block_reason: Text | None = None
    """Why it was stopped."""
    latency_ms: Int64 | None = None
    """Time the call took, in milliseconds."""
    created_at: Timestamp
    """When the call was made."""
    gate_result: JsonObject | None = None
    """What the gates found; `required_scope`, `policy_enforced` and `is_shadow` among it."""
