"""What bears on an incident: remediation items and legacy MCP records."""

from contracts.envelope import Event
from contracts.events import EvidenceRecorded, LegacyCallAudited
from contracts.keys import entity_key
from projector.projections import routes
from projector.projections.ranks import Rank
from projector.projections.rows import EvidenceRow
from projector.projections.text import SUMMARY_LENGTH, dumps, fields, literal, or_dashes


def item(event: Event[EvidenceRecorded]) -> EvidenceRow:
    """Return the row of a remediation item whose winning event this is."""
    data = event.data
    route = routes.of_item(data.agent_id, data.tool_name, data.required_scope)
    summary = (
        f"incident={or_dashes(data.incident_id)} mode={or_dashes(data.mode)}"
        f" preview={or_dashes(data.verification_result_preview)} route={route}"
        f" writes_incident={literal(data.writes_incident_state)}"
        f" writes_auto_repair={literal(data.writes_auto_repair_result)}"
    )
    return EvidenceRow(
        entity=entity_key("item", data.id),
        rank=Rank.REMEDIATION,
        id=data.id,
        incident_id=data.incident_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        created_at=data.created_at,
        success=data.success,
        title="ADR-100 補救試跑",
        title_en="ADR-100 remediation dry run",
        status=_item_status(data),
        summary=summary[:SUMMARY_LENGTH],
        metadata=dumps(
            {
                "incident_id": data.incident_id,
                "work_item_id": data.work_item_id,
                "mcp_route": route,
                "writes_incident_state": data.writes_incident_state,
                "writes_auto_repair_result": data.writes_auto_repair_result,
                "history_source": "alert_operation_log",
            }
        ),
        detail=dumps(fields(data)),
    )


def _item_status(data: EvidenceRecorded) -> str:
    if data.success is False or data.allowed is False:
        return "failed"
    return "success" if data.verification_result_preview == "success" else "warning"


def record(event: Event[LegacyCallAudited]) -> EvidenceRow:
    """Return the row of a legacy MCP record whose winning event this is."""
    data = event.data
    tool = "/".join(part for part in (data.mcp_server, data.tool_name) if part) or "unknown"
    title = f"Legacy MCP: {tool}"
    summary = (
        f"incident={or_dashes(data.incident_id)} agent={or_dashes(data.agent_role)}"
        f" node={or_dashes(data.flywheel_node)} duration_ms={or_dashes(data.duration_ms)}"
        f" error={or_dashes(data.error_message)}"
    )
    status = {True: "success", False: "failed", None: "warning"}[data.success]
    return EvidenceRow(
        entity=entity_key("record", data.id),
        rank=Rank.LEGACY_CALL,
        id=data.id,
        incident_id=data.incident_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        created_at=data.created_at,
        success=data.success,
        title=title,
        title_en=title,
        status=status,
        summary=summary[:SUMMARY_LENGTH],
        metadata=dumps(
            {
                "incident_id": data.incident_id,
                "agent_role": data.agent_role,
                "flywheel_node": data.flywheel_node,
                "history_source": "mcp_audit_log",
            }
        ),
        detail=dumps(fields(data)),
    )
