"""The timeline of a run."""

from typing import Any

import pytest

from tests.reference import Record
from tests.reference.given import INCIDENT, RUN, at, detail, event, run_with_incident


def titles(*records: Record) -> list[str]:
    return [item["title"] for item in detail(*records, lang="en")["timeline"]]


def test_items_of_one_instant_stand_by_rank_and_tie_key() -> None:
    rest = ("outbound-message", "approval-command", "remediation-evidence", "mcp-legacy-audit")
    told = titles(
        run_with_incident(created_at=at(1), started_at=at(1), completed_at=at(1)),
        *map(event, rest),
        event("mcp-gateway-audit"),
        event("step-journal", step_id="a", step_seq=10),
        event("step-journal", step_id="b", step_seq=2),
        event("step-journal", step_id="B", step_seq=2, tool_name="x"),
        event("conversation-event", run_id=RUN),
    )
    wanted = ["State: running", "Run created", "Run started", "slack inbound event", "Step 2: x"]
    wanted += ["Step 2: get", "Step 10: get", "MCP: get", "Legacy MCP: unknown"]
    wanted += ["ADR-100 remediation dry run", "Human approval: approved", "SLACK: Outcome"]
    assert told == [*wanted, "Run ended"]


@pytest.mark.parametrize(
    ("preview", "message_type", "label"),
    [
        ("ACTION REQUIRED, RUNBOOK REVIEW", "final", "Runbook awaiting review"),
        ("x AWOOOI CI/CD x", "final", "CI/CD status"),
        ("AI 治理警報", "final", "AI governance alert"),
        ("AI 自動修復失敗", "final", "AI repair failed, handed to a human"),
        ("HANDOFF REQUIRED", "final", "AI repair failed, handed to a human"),
        ("AI 自動修復完成", "final", "AI repair completed"),
        ("AUTO RESOLVED", "final", "AI repair completed"),
        ("事故升級", "final", "Incident escalation"),
        ("ESCALATION", "final", "Incident escalation"),
        ("ACTION REQUIRED", "final", "Alert approval card"),
        ("action required", "error", "Error reply"),
        (None, "approval_request", "Approval request"),
        ("", "interim", "Progress update"),
        (None, "digest", "digest"),
    ],
)
def test_outbound_titles(preview: str | None, message_type: str, label: str) -> None:
    message = event("outbound-message", content_preview=preview, message_type=message_type)
    assert titles(event("run-state"), message)[-1] == f"SLACK: {label}"


NOTE = {"tool_name": "operator_console.note"}
FAILED = {"duration_ms": 0, "error_message": "x" * 600}
SUCCESS = {"verification_result_preview": "success"}
AGAIN = {"run_id": RUN, "is_duplicate": True, "content_preview": "x"}
ERROR = f"incident={INCIDENT} agent=-- node=-- duration_ms=0 error="


@pytest.mark.parametrize(
    ("topic", "data", "expected"),
    [
        ("step-journal", NOTE, {"kind": "approval", "title": "Step 0: operator_console.note"}),
        ("mcp-legacy-audit", FAILED, {"summary": ERROR.ljust(500, "x")}),
        ("remediation-evidence", SUCCESS | {"allowed": False}, {"status": "failed"}),
        ("conversation-event", {"run_id": RUN}, {"status": "received", "summary": None}),
        ("conversation-event", AGAIN, {"status": "duplicate", "summary": "x"}),
    ],
)
def test_what_an_item_says(topic: str, data: dict[str, Any], expected: dict[str, Any]) -> None:
    last = detail(run_with_incident(), event(topic, **data))["timeline"][-1]
    assert expected.items() <= last.items()


def test_a_state_of_another_project_does_not_show() -> None:
    moved = event("run-state", version=1, project_id="q")
    told = detail(event("run-state", state="failed", state_changed_at=at(2)), moved)["timeline"]
    assert [item["title"] for item in told] == ["Run 建立"]
