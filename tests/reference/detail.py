"""The detail of a run, its timeline whole."""

from collections import Counter
from typing import Any

from tests.reference.belonging import inbound_events, incident_ids, items, legacy_records, own
from tests.reference.decoding import Event
from tests.reference.plain import pick, plain, without
from tests.reference.platform import Platform, Row
from tests.reference.summary import item_route, remediation_summary
from tests.reference.timeline import timeline

LIST_LIMIT = 100
ITEMS_LIMIT = 20


def run_detail(platform: Platform, run_id: str, lang: str = "zh-TW") -> dict[str, Any] | None:
    """Everything told of one run (id in lower case), or None where there is no such run.

    The lists of own items are cut at their limits as the API cuts them; the timeline is not.
    """
    run = platform.run(run_id)
    if run is None:
        return None
    steps = own(platform, run, "step-journal")
    inbound = inbound_events(platform, run)
    outbound = own(platform, run, "outbound-message")
    calls = own(platform, run, "mcp-gateway-audit")
    told = timeline(platform, run, lang)
    own_names = ("project_id", "run_id")
    inbound_names = (*own_names, "content_redacted", "source_envelope")
    return {
        "run": plain(run.data),
        "steps": [without(row, *own_names) for row in steps[:LIST_LIMIT]],
        "inbound_events": [without(row, *inbound_names) for row in inbound[:LIST_LIMIT]],
        "outbound_messages": [without(row, *own_names) for row in outbound[:LIST_LIMIT]],
        "mcp_calls": [without(row, *own_names) | gate_of(row) for row in calls[:LIST_LIMIT]],
        "mcp_gateway": mcp_gateway(calls),
        "mcp_legacy": mcp_legacy(platform, run),
        "remediation_history": remediation_history(platform, run),
        "timeline": told,
        "counts": {
            "steps": len(steps),
            "inbound_events": len(inbound),
            "outbound_messages": len(outbound),
            "mcp_calls": len(calls),
            "legacy_mcp_calls": len(legacy_records(platform, run)),
            "remediation_history": len(items(platform, run)),
            "timeline": len(told),
        },
        "remediation_summary": remediation_summary(platform, run),
    }


def gate_of(call: Row) -> Row:
    gate = call["gate_result"] or {}
    return {name: gate.get(name) for name in ("required_scope", "policy_enforced", "is_shadow")}


def mcp_gateway(calls: list[Row]) -> dict[str, Any]:
    groups: dict[str, list[Row]] = {}
    for call in calls:
        groups.setdefault(call["tool_name"], []).append(call)
    by_tool = [{"tool_name": tool, **outcomes(group)} for tool, group in groups.items()]
    return {
        **outcomes(calls),
        "shadow": sum(gate_of(call)["is_shadow"] is True for call in calls),
        "policy_enforced": sum(gate_of(call)["policy_enforced"] is True for call in calls),
        "by_tool": sorted(by_tool, key=lambda row: (-row["total"], row["tool_name"])),
        "block_gates": dict(Counter(call["block_gate"] for call in calls if call["block_gate"])),
    }


def outcomes(calls: list[Row]) -> dict[str, int]:
    return {
        "total": len(calls),
        "success": sum(call["result_status"] == "success" for call in calls),
        "failed": sum(call["result_status"] == "failed" for call in calls),
        "blocked": sum(bool(call["block_gate"]) for call in calls),
    }


def mcp_legacy(platform: Platform, run: Event) -> dict[str, Any]:
    records = legacy_records(platform, run)
    groups: dict[tuple[str | None, str | None], list[Row]] = {}
    for record in records:
        groups.setdefault((record["mcp_server"], record["tool_name"]), []).append(record)
    # Null comes before any text.
    pairs = sorted(groups, key=lambda it: (-len(groups[it]), *((p is not None, p) for p in it)))
    by_server_tool = [
        {"mcp_server": server, "tool_name": tool, **successes(groups[server, tool])}
        for server, tool in pairs
    ]
    return {
        "schema_version": "awooop_run_legacy_mcp_evidence_v1",
        "source": "mcp_audit_log",
        "incident_ids": incident_ids(platform, run),
        "total": len(records),
        "limit": LIST_LIMIT,
        "records": [plain(record) for record in records[:LIST_LIMIT]],
        "summary": {**successes(records), "by_server_tool": by_server_tool},
    }


def successes(records: list[Row]) -> dict[str, int]:
    return {
        "total": len(records),
        "success": sum(record["success"] is True for record in records),
        "failed": sum(record["success"] is False for record in records),
    }


def remediation_history(platform: Platform, run: Event) -> dict[str, Any]:
    evidence = items(platform, run)
    visible = evidence[:ITEMS_LIMIT]
    return {
        "schema_version": "awooop_run_remediation_evidence_v1",
        "source": "alert_operation_log",
        "incident_ids": incident_ids(platform, run),
        "total": len(evidence),
        "limit": ITEMS_LIMIT,
        "items": [plain(item) for item in visible],
        "by_work_item": by_work_item(visible),
        "errors": [],
    }


def by_work_item(visible: list[Row]) -> list[dict[str, Any]]:
    """The visible items in groups; they come newest first, so a group's first is its latest."""
    groups: dict[str, list[Row]] = {}
    for item in visible:
        groups.setdefault(item["work_item_id"] or item["incident_id"], []).append(item)
    return [
        {
            **pick(group[0], "work_item_id", "incident_id"),
            "count": len(group),
            "latest_at": plain(group[0]["created_at"]),
            "latest_preview": group[0]["verification_result_preview"],
            "latest_mode": group[0]["mode"],
            "latest_route": item_route(group[0]),
        }
        for group in groups.values()
    ]
