"""The remediation summary of a run, from the evidence on its incidents."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

SCHEMA_VERSION: Final = "awooop_run_remediation_summary_v1"
GATE_STATE: Final = "waiting_approval"
NO_ROUTE: Final = "--"


class Evidence(NamedTuple):
    """The evidence of one kind on one incident, within one project or on runs of any project."""

    total: int
    success: int
    failed: int
    latest_key: tuple[datetime, str]
    """(`created_at`, `id`) of the newest."""
    latest: dict[str, Any]
    """The newest one's contract fields, times as text."""


def summarise(
    incident_ids: Sequence[str], state: str, items: Sequence[Evidence], records: Sequence[Evidence]
) -> dict[str, Any]:
    """Return a run's summary; `items` and `records` are the evidence on its incidents."""
    latest, latest_mcp = _newest(items), _newest(records)
    item: dict[str, Any] = latest or {}
    record: dict[str, Any] = latest_mcp or {}
    total, observed = sum(each.total for each in items), sum(each.total for each in records)
    return {
        "schema_version": SCHEMA_VERSION,
        "source": _source(latest, latest_mcp),
        "incident_ids": list(incident_ids),
        "total": total,
        "evidence_total": total + observed,
        "status": _status(latest, latest_mcp),
        "has_dry_run": latest is not None,
        "has_mcp_investigation": latest_mcp is not None,
        "is_read_only": latest is not None and _reads_only(latest),
        "human_gate_open": state == GATE_STATE,
        "latest_at": item.get("created_at"),
        "latest_preview": item.get("verification_result_preview") or None,
        "latest_mode": item.get("mode") or None,
        "latest_route": _route(latest, latest_mcp),
        "latest_agent_id": item.get("agent_id") or record.get("agent_role") or None,
        "latest_tool_name": item.get("tool_name") or record.get("tool_name") or None,
        "latest_required_scope": item.get("required_scope") or ("read" if latest_mcp else None),
        "writes_incident_state": item.get("writes_incident_state"),
        "writes_auto_repair_result": item.get("writes_auto_repair_result"),
        "mcp_observation_total": observed,
        "mcp_observation_success": sum(each.success for each in records),
        "mcp_observation_failed": sum(each.failed for each in records),
        "latest_mcp_server": record.get("mcp_server") or None,
        "errors": [],
    }


def item_route(agent_id: str | None, tool_name: str | None, scope: str | None) -> str:
    """Return the route of a remediation item: who used which tool in what scope."""
    return "/".join(part for part in (agent_id, tool_name, scope) if part) or NO_ROUTE


def _newest(groups: Iterable[Evidence]) -> dict[str, Any] | None:
    newest = max(groups, key=lambda group: group.latest_key, default=None)
    return newest.latest if newest else None


def _source(latest: dict[str, Any] | None, latest_mcp: dict[str, Any] | None) -> str:
    if latest is not None:
        return "alert_operation_log"
    return "mcp_audit_log" if latest_mcp is not None else "none"


def _reads_only(latest: dict[str, Any]) -> bool:
    return (
        latest["required_scope"] == "read"
        and latest["writes_incident_state"] is False
        and latest["writes_auto_repair_result"] is False
    )


def _status(latest: dict[str, Any] | None, latest_mcp: dict[str, Any] | None) -> str:
    if latest is None:
        return "no_evidence" if latest_mcp is None else "mcp_observed"
    if latest["success"] is False or latest["allowed"] is False:
        return "blocked"
    if latest["writes_incident_state"] or latest["writes_auto_repair_result"]:
        return "write_observed"
    return "read_only_dry_run" if _reads_only(latest) else "observed"


def _route(latest: dict[str, Any] | None, latest_mcp: dict[str, Any] | None) -> str:
    if latest is not None:
        return item_route(latest["agent_id"], latest["tool_name"], latest["required_scope"])
    if latest_mcp is None:
        return NO_ROUTE
    tool = ".".join(part for part in (latest_mcp["mcp_server"], latest_mcp["tool_name"]) if part)
    # a legacy record has no scope: those tools could only read
    return "/".join(part for part in (latest_mcp["agent_role"], tool, "read") if part)
