"""The remediation summary of a run."""

from typing import Any

from tests.reference.belonging import incident_ids, items, legacy_records
from tests.reference.decoding import Event
from tests.reference.plain import plain
from tests.reference.platform import Platform, Row


def item_route(item: Row) -> str:
    parts = [item["agent_id"], item["tool_name"], item["required_scope"]]
    return "/".join(part for part in parts if part) or "--"


def record_route(record: Row) -> str:
    tool = ".".join(part for part in (record["mcp_server"], record["tool_name"]) if part)
    return "/".join(part for part in (record["agent_role"], tool, "read") if part)


def read_only(item: Row | None) -> bool:
    return (
        item is not None
        and item["required_scope"] == "read"
        and item["writes_incident_state"] is False
        and item["writes_auto_repair_result"] is False
    )


def status(latest: Row | None, latest_mcp: Row | None) -> str:
    if latest is None:
        return "no_evidence" if latest_mcp is None else "mcp_observed"
    if latest["success"] is False or latest["allowed"] is False:
        return "blocked"
    if latest["writes_incident_state"] is True or latest["writes_auto_repair_result"] is True:
        return "write_observed"
    return "read_only_dry_run" if read_only(latest) else "observed"


def source_and_route(latest: Row | None, latest_mcp: Row | None) -> tuple[str, str]:
    if latest is not None:
        return "alert_operation_log", item_route(latest)
    if latest_mcp is not None:
        return "mcp_audit_log", record_route(latest_mcp)
    return "none", "--"


def remediation_summary(platform: Platform, run: Event) -> dict[str, Any]:
    evidence, records = items(platform, run), legacy_records(platform, run)
    latest = evidence[0] if evidence else None
    latest_mcp = records[0] if records else None
    source, route = source_and_route(latest, latest_mcp)
    item: Row = latest or {}
    record: Row = latest_mcp or {}
    return {
        "schema_version": "awooop_run_remediation_summary_v1",
        "source": source,
        "incident_ids": incident_ids(platform, run),
        "total": len(evidence),
        "evidence_total": len(evidence) + len(records),
        "status": status(latest, latest_mcp),
        "has_dry_run": bool(evidence),
        "has_mcp_investigation": bool(records),
        "is_read_only": read_only(latest),
        "human_gate_open": run.data["state"] == "waiting_approval",
        "latest_at": plain(item.get("created_at")),
        "latest_preview": item.get("verification_result_preview") or None,
        "latest_mode": item.get("mode") or None,
        "latest_route": route,
        "latest_agent_id": item.get("agent_id") or record.get("agent_role") or None,
        "latest_tool_name": item.get("tool_name") or record.get("tool_name") or None,
        "latest_required_scope": item.get("required_scope") or ("read" if records else None),
        "writes_incident_state": item.get("writes_incident_state"),
        "writes_auto_repair_result": item.get("writes_auto_repair_result"),
        "mcp_observation_total": len(records),
        "mcp_observation_success": sum(each["success"] is True for each in records),
        "mcp_observation_failed": sum(each["success"] is False for each in records),
        "latest_mcp_server": record.get("mcp_server") or None,
        "errors": [],
    }
