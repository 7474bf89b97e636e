"""The detail of a run and its remediation summary."""

from decimal import Decimal
from typing import Any

import pytest

from tests.reference import load, run_detail
from tests.reference.given import RUN, at, detail, event, run_with_incident
from tests.reference.summary import item_route, record_route


def test_lists_are_cut_and_totals_exact() -> None:
    told = detail(
        run_with_incident(),
        *(event("step-journal", step_id=str(n), step_seq=n) for n in range(101)),
        *(event("mcp-legacy-audit", id=n, created_at=at(n % 60)) for n in range(101)),
        *(event("remediation-evidence", id=n, work_item_id=f"W{n % 2}") for n in range(21)),
    )
    history, legacy = told["remediation_history"], told["mcp_legacy"]
    assert (len(told["steps"]), len(legacy["records"]), len(history["items"])) == (100, 100, 20)
    assert legacy["total"] == legacy["summary"]["total"] == 101
    assert told["counts"]["remediation_history"] == history["total"] == 21
    groups = [(group["work_item_id"], group["count"]) for group in history["by_work_item"]]
    assert groups == [("W1", 10), ("W0", 10)]
    assert told["counts"]["timeline"] == len(told["timeline"]) == 1 + 101 + 101 + 21


def test_fields_of_the_detail() -> None:
    told = detail(
        event("run-state", pending_action={"tool_name": "t", "more": 1}, cost_usd="2.50"),
        event("mcp-gateway-audit", gate_result={"required_scope": "read"}),
        event("conversation-event", run_id=RUN, source_envelope={}),
    )
    call, inbound = told["mcp_calls"][0], told["inbound_events"][0]
    assert (len(told["run"]), told["run"]["cost_usd"]) == (22, Decimal("2.50"))
    nothing = dict.fromkeys(("summary", "arguments_sha256", "requested_by"))
    assert told["run"]["pending_action"] == {"tool_name": "t", **nothing}
    assert (call["required_scope"], call["is_shadow"]) == ("read", None)
    assert {"run_id", "project_id"}.isdisjoint(call)
    assert {"source_envelope", "content_redacted", "run_id"}.isdisjoint(inbound)
    assert run_detail(load([event("step-journal")]), RUN) is None


def test_legacy_calls_by_server_and_tool() -> None:
    pairs = [("b", "t"), (None, "t"), ("a", None), ("a", "t"), ("B", "t"), ("b", "t")]
    records = [
        event("mcp-legacy-audit", id=n, mcp_server=server, tool_name=tool, success=n > 2)
        for n, (server, tool) in enumerate(pairs)
    ]
    told = detail(run_with_incident(), *records)["mcp_legacy"]["summary"]
    found = [(row["mcp_server"], row["tool_name"]) for row in told["by_server_tool"]]
    assert found == [("b", "t"), (None, "t"), ("B", "t"), ("a", None), ("a", "t")]
    assert (told["success"], told["failed"]) == (3, 3)


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
    told = detail(run_with_incident(), older, event("remediation-evidence", **latest))
    summary = told["remediation_summary"]
    assert (summary["status"], summary["is_read_only"]) == (status, is_read_only)
    assert summary["latest_at"] == at(1)


def test_of_equal_times_the_greater_id_is_the_latest() -> None:
    ids = [event("remediation-evidence", id=id_, mode=id_) for id_ in ("9", "10", "B", "a")]
    assert detail(run_with_incident(), *ids)["remediation_summary"]["latest_mode"] == "a"


def test_what_is_empty_in_the_item_gives_way_to_the_record() -> None:
    item = event("remediation-evidence", tool_name="", required_scope="")
    record = event("mcp-legacy-audit", mcp_server="", tool_name="get", agent_role="sre")
    told = detail(run_with_incident(), item, record)["remediation_summary"]
    expected = {"agent_id": "sre", "tool_name": "get", "required_scope": "read", "route": "--"}
    assert {name: told[f"latest_{name}"] for name in expected} == expected
    assert told["latest_mcp_server"] is None


def test_routes_leave_out_what_is_empty() -> None:
    item = {"agent_id": "a", "tool_name": "", "required_scope": "read"}
    assert item_route(item) == "a/read"
    record = {"agent_role": "r", "mcp_server": None, "tool_name": "t"}
    assert record_route(record) == "r/t/read"
    assert record_route(record | {"agent_role": "", "mcp_server": "s", "tool_name": ""}) == "s/read"
    assert record_route(dict.fromkeys(record)) == "read"
