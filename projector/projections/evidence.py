"""What bears on an incident, rows of `evidence`: remediation items and legacy MCP records."""

from typing import Any

from contracts.envelope import Event
from contracts.events import EvidenceRecorded, LegacyCallAudited
from contracts.keys import entity_key
from projector.projections.rows import (
    SUMMARY_LENGTH,
    Rank,
    Row,
    dumps,
    fields,
    literal,
    or_dashes,
)
from projector.projections.summary import item_route


def _head(event: Event[Any], kind: str, rank: Rank) -> Row:
    """Return the columns that all evidence has."""
    data = event.data
    return {
        "entity": entity_key(kind, data.id),
        "rank": rank,
        "id": data.id,
        "incident_id": data.incident_id,
        "created_at": data.created_at,
        "success": data.success,
        "detail": dumps(fields(data)),
    }


def item(event: Event[EvidenceRecorded]) -> Row:
    """Return the row of a remediation item."""
    data = event.data
    route = item_route(data.agent_id, data.tool_name, data.required_scope)
    summary = (
        f"incident={or_dashes(data.incident_id)} mode={or_dashes(data.mode)}"
        f" preview={or_dashes(data.verification_result_preview)} route={route}"
        f" writes_incident={literal(data.writes_incident_state)}"
        f" writes_auto_repair={literal(data.writes_auto_repair_result)}"
    )
    return _head(event, "item", Rank.REMEDIATION) | {
        "title": "ADR-100 補救試跑",
        "title_en": "ADR-100 remediation dry run",
        "status": _item_status(data),
        "summary": summary[:SUMMARY_LENGTH],
        "metadata": dumps(
            {
                "incident_id": data.incident_id,
                "work_item_id": data.work_item_id,
                "mcp_route": route,
                "writes_incident_state": data.writes_incident_state,
                "writes_auto_repair_result": data.writes_auto_repair_result,
                "history_source": "alert_operation_log",
            }
        ),
    }


def _item_status(data: EvidenceRecorded) -> str:
    if data.success is False or data.allowed is False:
        return "failed"
    return "success" if data.verification_result_preview == "success" else "warning"


def record(event: Event[LegacyCallAudited]) -> Row:
    """Return the row of a legacy MCP record."""
    data = event.data
    tool = "/".join(part for part in (data.mcp_server, data.tool_name) if part) or "unknown"
    title = f"Legacy MCP: {tool}"
    summary = (
        f"incident={or_dashes(data.incident_id)} agent={or_dashes(data.agent_role)}"
        f" node={or_dashes(data.flywheel_node)} duration_ms={or_dashes(data.duration_ms)}"
        f" error={or_dashes(data.error_message)}"
    )
    return _head(event, "record", Rank.LEGACY_CALL) | {
        "title": title,
        "title_en": title,
        "status": {True: "success", False: "failed", None: "warning"}[data.success],
        "summary": summary[:SUMMARY_LENGTH],
        "metadata": dumps(
            {
                "incident_id": data.incident_id,
                "agent_role": data.agent_role,
                "flywheel_node": data.flywheel_node,
                "history_source": "mcp_audit_log",
            }
        ),
    }
