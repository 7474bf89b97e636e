"""Gateway calls of a run: `mcp_calls` of the detail, `mcp` in the timeline."""

from typing import Any

from contracts.envelope import Event
from contracts.events import GatewayCallAudited
from contracts.keys import entity_key
from projector.projections.ranks import Rank
from projector.projections.rows import ItemRow, item_row
from projector.projections.text import dumps, fields, literal


def row(event: Event[GatewayCallAudited]) -> ItemRow:
    """Return the row of a gateway call whose winning event this is."""
    data = event.data
    gate = data.gate_result or {}
    scope, enforced = gate.get("required_scope"), gate.get("policy_enforced")
    detail = fields(data, "run_id", "project_id")
    detail |= {
        "required_scope": scope,
        "policy_enforced": enforced,
        "is_shadow": gate.get("is_shadow"),
    }
    title = f"MCP: {data.tool_name}"
    return item_row(
        entity=entity_key("call", data.call_id),
        run_id=data.run_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        ts=data.created_at,
        rank=Rank.GATEWAY_CALL,
        seq=0,
        tie=data.call_id,
        listed_at=data.created_at,
        kind="mcp",
        title=title,
        title_en=title,
        status=data.result_status,
        summary=data.block_reason or _summary(data.agent_id, scope, enforced),
        metadata=dumps(
            {
                "agent_id": data.agent_id,
                "block_gate": data.block_gate,
                "required_scope": scope,
                "policy_enforced": enforced,
                "latency_ms": data.latency_ms,
            }
        ),
        incidents=None,
        run_version=None,
        detail=dumps(detail),
    )


def _summary(agent_id: str | None, scope: Any, enforced: Any) -> str:
    return (
        f"agent={agent_id or 'unknown'}"
        f" scope={literal(scope) if scope else 'unknown'}"
        f" policy_enforced={literal(enforced)}"
    )
