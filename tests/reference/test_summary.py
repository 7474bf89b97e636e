"""The remediation summary of a run."""

from typing import Any

import pytest

from tests.reference.given import at, detail, event, run_with_incident
from tests.reference.summary import item_route, record_route

NO_WRITES = {"writes_incident_state": False, "writes_auto_repair_result": False}


@pytest.mark.parametrize(
    ("latest", "status", "is_read_only"),
    [
        ({}, "observed", False),
        ({"success": False, "writes_incident_state": True}, "blocked", False),
        ({"allowed": False, "success": True}, "blocked", False),
        ({"success": False, "required_scope": "read", **NO_WRITES}, "blocked", True),
        ({"writes_auto_repair_result": True, "required_scope": "read"}, "write_observed", False),
        ({"required_scope": "read", **NO_WRITES}, "read_only_dry_run", True),
        ({"required_scope": "read", "writes_incident_state": False}, "observed", False),
        ({"required_scope": "write", **NO_WRITES}, "observed", False),
    ],
)
def test_status_by_the_latest_item(latest: dict[str, Any], status: str, is_read_only: bool) -> None:
    older = event("remediation-evidence", id="z", success=False, created_at=at(0))
    summary = detail(run_with_incident(), older, event("remediation-evidence", **latest))[
        "remediation_summary"
    ]
    assert summary["status"] == status
    assert summary["is_read_only"] is is_read_only
    assert summary["latest_at"] == at(1)


def test_of_equal_times_the_greater_id_is_the_latest() -> None:
    ids = [event("remediation-evidence", id=id_, mode=id_) for id_ in ("9", "10", "B", "a")]
    assert detail(run_with_incident(), *ids)["remediation_summary"]["latest_mode"] == "a"


def test_summary_of_records_alone() -> None:
    summary = detail(
        run_with_incident(state="waiting_approval"),
        event("mcp-legacy-audit", mcp_server="k8s", tool_name="get", success=True),
    )["remediation_summary"]
    assert summary["source"] == "mcp_audit_log"
    assert summary["status"] == "mcp_observed"
    assert summary["latest_route"] == "k8s.get/read"
    assert summary["latest_required_scope"] == "read"
    assert summary["human_gate_open"] is True
    assert summary["latest_at"] is None


def test_empty_fields_of_the_latest_item_give_way_to_the_record() -> None:
    summary = detail(
        run_with_incident(),
        event("remediation-evidence", tool_name="", required_scope=""),
        event("mcp-legacy-audit", mcp_server="", tool_name="get", agent_role="sre"),
    )["remediation_summary"]
    assert summary["latest_agent_id"] == "sre"
    assert summary["latest_tool_name"] == "get"
    assert summary["latest_required_scope"] == "read"
    assert summary["latest_mcp_server"] is None
    assert summary["latest_route"] == "--"


def test_routes() -> None:
    item = {"agent_id": "a", "tool_name": "t", "required_scope": "read"}
    assert item_route(item) == "a/t/read"
    assert item_route(item | {"tool_name": ""}) == "a/read"
    assert item_route(dict.fromkeys(item)) == "--"
    record = {"agent_role": "r", "mcp_server": "s", "tool_name": "t"}
    assert record_route(record) == "r/s.t/read"
    assert record_route(record | {"mcp_server": None}) == "r/t/read"
    assert record_route(record | {"tool_name": "", "agent_role": ""}) == "s/read"
    assert record_route(dict.fromkeys(record)) == "read"
