"""The detail of a run."""

from decimal import Decimal

from tests.reference import load, run_detail
from tests.reference.given import (
    INBOUND,
    OTHER_RUN,
    RUN,
    at,
    detail,
    event,
    run_with_incident,
)


def test_lists_are_cut_and_totals_exact() -> None:
    told = detail(
        run_with_incident(),
        *(event("step-journal", step_id=str(n), step_seq=n) for n in range(101)),
        *(event("mcp-legacy-audit", id=n, created_at=at(n % 60)) for n in range(101)),
        *(event("remediation-evidence", id=n, work_item_id=f"W{n % 2}") for n in range(21)),
    )
    assert len(told["steps"]) == 100
    assert len(told["mcp_legacy"]["records"]) == 100
    assert told["mcp_legacy"]["total"] == told["mcp_legacy"]["summary"]["total"] == 101
    assert len(told["remediation_history"]["items"]) == 20
    assert told["counts"]["remediation_history"] == 21
    groups = told["remediation_history"]["by_work_item"]
    assert [(group["work_item_id"], group["count"]) for group in groups] == [("W1", 10), ("W0", 10)]
    assert told["counts"]["timeline"] == len(told["timeline"]) == 1 + 101 + 101 + 21


def test_gateway_calls_by_tool_and_gate() -> None:
    told = detail(
        event("run-state"),
        event("mcp-gateway-audit", call_id="1", tool_name="b", block_gate="G3"),
        event("mcp-gateway-audit", call_id="2", tool_name="a", gate_result={"is_shadow": True}),
        event("mcp-gateway-audit", call_id="3", tool_name="B", gate_result={"is_shadow": "true"}),
        event("mcp-gateway-audit", call_id="4", tool_name="b", result_status="failed"),
    )["mcp_gateway"]
    assert [row["tool_name"] for row in told["by_tool"]] == ["b", "B", "a"]
    assert told["by_tool"][0] == {
        "tool_name": "b",
        "total": 2,
        "success": 1,
        "failed": 1,
        "blocked": 1,
    }
    assert told["block_gates"] == {"G3": 1}
    assert told["shadow"] == 1


def test_fields_of_the_detail() -> None:
    told = detail(
        event("run-state", pending_action={"tool_name": "t", "more": 1}, cost_usd="2.50"),
        event("mcp-gateway-audit", gate_result={"required_scope": "read"}),
        event("conversation-event", run_id=RUN, source_envelope={}),
    )
    assert len(told["run"]) == 22
    assert told["run"]["cost_usd"] == Decimal("2.50")
    assert told["run"]["pending_action"]["requested_by"] is None
    assert "more" not in told["run"]["pending_action"]
    assert told["mcp_calls"][0]["required_scope"] == "read"
    assert told["mcp_calls"][0]["is_shadow"] is None
    assert "run_id" not in told["mcp_calls"][0]
    assert {"source_envelope", "content_redacted", "run_id"}.isdisjoint(told["inbound_events"][0])


def test_no_such_run() -> None:
    assert run_detail(load([event("step-journal")]), RUN) is None


def test_inbound_events_by_time_then_id() -> None:
    ids = (OTHER_RUN, RUN, INBOUND)
    seconds = (2, 2, 1)
    told = detail(
        event("run-state"),
        *(
            event("conversation-event", run_id=RUN, event_id=id_, received_at=at(second))
            for id_, second in zip(ids, seconds, strict=True)
        ),
    )
    assert [row["event_id"] for row in told["inbound_events"]] == [INBOUND, RUN, OTHER_RUN]


def test_legacy_calls_by_server_and_tool() -> None:
    pairs = [("b", "t"), (None, "t"), ("a", None), ("a", "t"), ("B", "t"), ("b", "t")]
    told = detail(
        run_with_incident(),
        *(
            event("mcp-legacy-audit", id=n, mcp_server=server, tool_name=tool, success=n > 2)
            for n, (server, tool) in enumerate(pairs)
        ),
    )["mcp_legacy"]["summary"]
    found = [(row["mcp_server"], row["tool_name"]) for row in told["by_server_tool"]]
    assert found == [("b", "t"), (None, "t"), ("B", "t"), ("a", None), ("a", "t")]
    assert (told["success"], told["failed"]) == (3, 3)
