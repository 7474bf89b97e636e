"""The timeline of a run."""

from typing import Any

import pytest

from tests.reference import Record
from tests.reference.given import INCIDENT, RUN, at, detail, event, run_with_incident


def titles(*records: Record, lang: str = "zh-TW") -> list[str]:
    return [item["title"] for item in detail(*records, lang=lang)["timeline"]]


def test_items_of_one_instant_stand_by_rank_and_tie_key() -> None:
    told = titles(
        run_with_incident(created_at=at(1), started_at=at(1), completed_at=at(1)),
        event("outbound-message"),
        event("approval-command"),
        event("remediation-evidence"),
        event("mcp-legacy-audit"),
        event("mcp-gateway-audit"),
        event("step-journal", step_id="a", step_seq=10),
        event("step-journal", step_id="b", step_seq=2),
        event("step-journal", step_id="B", step_seq=2, tool_name="x"),
        event("conversation-event", run_id=RUN),
        lang="en",
    )
    assert told == [
        "State: running",
        "Run created",
        "Run started",
        "slack inbound event",
        "Step 2: x",
        "Step 2: get",
        "Step 10: get",
        "MCP: get",
        "Legacy MCP: unknown",
        "ADR-100 remediation dry run",
        "Human approval: approved",
        "SLACK: Outcome",
        "Run ended",
    ]


def test_states_of_all_events_but_those_told_otherwise() -> None:
    told = titles(
        event("run-state", version=3, started_at=at(2), completed_at=at(9), state="completed"),
        event("run-state", version=1, state="running", state_changed_at=at(2)),
        event("run-state", version=2, state="on_hold", state_changed_at=at(4)),
        event("run-state", version=2, state="on_hold", state_changed_at=at(4), id_="again"),
        event("run-state", version=0, state="failed", state_changed_at=at(4)),
        event("run-state", version=0, state="cancelled", state_changed_at=at(5), project_id="q"),
        event("run-state", version=0, state="bad\n", state_changed_at=at(6)),
    )
    assert told == [
        "Run 建立",
        "Run 開始執行",
        "狀態：failed",
        "狀態：on_hold",
        "Run 結束",
    ]


@pytest.mark.parametrize(
    ("preview", "message_type", "label"),
    [
        ("ACTION REQUIRED, RUNBOOK REVIEW", "final", "Runbook awaiting review"),
        ("x AWOOOI CI/CD x", "final", "CI/CD status"),
        ("AI 自動修復失敗", "final", "AI repair failed, handed to a human"),
        ("AI 自動修復完成", "final", "AI repair completed"),
        ("事故升級", "final", "Incident escalation"),
        ("action required", "error", "Error reply"),
        (None, "approval_request", "Approval request"),
        ("", "interim", "Progress update"),
        (None, "digest", "digest"),
    ],
)
def test_outbound_titles(preview: str | None, message_type: str, label: str) -> None:
    message = event("outbound-message", content_preview=preview, message_type=message_type)
    assert titles(event("run-state"), message, lang="en")[-1] == f"SLACK: {label}"


def last_item(topic: str, **data: Any) -> dict[str, Any]:
    found: dict[str, Any] = detail(run_with_incident(), event(topic, **data))["timeline"][-1]
    return found


def test_summaries_of_items() -> None:
    call = last_item("mcp-gateway-audit", gate_result={"policy_enforced": None})
    assert call["summary"] == "agent=unknown scope=unknown policy_enforced=null"
    step = last_item("step-journal", block_reason="", error_code="E1", completed_at=at(7))
    assert (step["ts"], step["summary"]) == (at(7), "E1")
    message = last_item("outbound-message", content_preview="", send_error="gone")
    assert message["summary"] == "gone"
    decision = last_item("approval-command", decision="reject", reason=None)
    assert (decision["title"], decision["summary"]) == ("人工審批：拒絕", "alice: -")
    record = last_item("mcp-legacy-audit", duration_ms=0, error_message="x" * 600)
    assert record["summary"].startswith(
        f"incident={INCIDENT} agent=-- node=-- duration_ms=0 error=x"
    )
    assert len(record["summary"]) == 500
    item = last_item("remediation-evidence", allowed=False, verification_result_preview="success")
    assert item["status"] == "failed"
    assert item["summary"] == (
        f"incident={INCIDENT} mode=-- preview=success route=-- "
        "writes_incident=null writes_auto_repair=null"
    )


def test_console_steps_are_approvals() -> None:
    told = last_item("step-journal", tool_name="operator_console.reject")
    assert (told["kind"], told["title"]) == ("approval", "人工審批 0: 拒絕")
    other = last_item("step-journal", tool_name="operator_console.note")
    assert (other["kind"], other["title"]) == ("approval", "Step 0: operator_console.note")


def test_inbound_items_tell_duplicates() -> None:
    told = last_item("conversation-event", run_id=RUN, is_duplicate=True, content_preview="x")
    assert (told["status"], told["summary"]) == ("duplicate", "x")
    assert last_item("conversation-event", run_id=RUN)["status"] == "received"
