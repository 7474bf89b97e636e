"""The remediation summary of a run."""

from typing import Any

from tests.reference.belonging import Row, incident_ids, items, legacy_records
from tests.reference.decoding import Event
from tests.reference.plain import plain
from tests.reference.platform import Platform

STATUSES = (
    "no_evidence",
    "mcp_observed",
    "blocked",
    "write_observed",
    "read_only_dry_run",
    "observed",
)


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


def source(latest: Row | None, latest_mcp: Row | None) -> str:
    if latest is not None:
        return "alert_operation_log"
    return "none" if latest_mcp is None else "mcp_audit_log"


def route(latest: Row | None, latest_mcp: Row | None) -> str:
    if latest is not None:
        return item_route(latest)
    return "--" if latest_mcp is None else record_route(latest_mcp)


def remediation_summary(platform: Platform, run: Event) -> dict[str, Any]:
    evidence = items(platform, run)
    records = legacy_records(platform, run)
    latest = evidence[0] if evidence else None
    latest_mcp = records[0] if records else None
    of_latest: Row = latest or {}
    of_mcp: Row = latest_mcp or {}
    return {
        "schema_version": "awooop_run_remediation_summary_v1",
        "source": source(latest, latest_mcp),
        "incident_ids": incident_ids(platform, run),
        "total": len(evidence),
        "evidence_total": len(evidence) + len(records),
        "status": status(latest, latest_mcp),
        "has_dry_run": bool(evidence),
        "has_mcp_investigation": bool(records),
        "is_read_only": read_only(latest),
        "human_gate_open": run.data["state"] == "waiting_approval",
        "latest_at": plain(of_latest.get("created_at")),
        "latest_preview": of_latest.get("verification_result_preview") or None,
        "latest_mode": of_latest.get("mode") or None,
        "latest_route": route(latest, latest_mcp),
        "latest_agent_id": of_latest.get("agent_id") or of_mcp.get("agent_role") or None,
        "latest_tool_name": of_latest.get("tool_name") or of_mcp.get("tool_name") or None,
        "latest_required_scope": of_latest.get("required_scope")
        or (None if latest_mcp is None else "read"),
        "writes_incident_state": of_latest.get("writes_incident_state"),
        "writes_auto_repair_result": of_latest.get("writes_auto_repair_result"),
        "mcp_observation_total": len(records),
        "mcp_observation_success": sum(record["success"] is True for record in records),
        "mcp_observation_failed": sum(record["success"] is False for record in records),
        "latest_mcp_server": of_mcp.get("mcp_server") or None,
        "errors": [],
    }
