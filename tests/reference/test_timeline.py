"""The timeline of a run."""

from typing import Any

import pytest

from tests.reference import Record
from tests.reference.given import INCIDENT, RUN, at, detail, event, run_with_incident


def titles(*records: Record, lang: str = "zh-TW") -> list[str]:
    return [item["title"] for item in detail(*records, lang=lang)["timeline"]]


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
    def was(state: str, second: int, version: int = 0, **more: Any) -> Record:
        at_ = at(second)
        return event("run-state", version=version, state=state, state_changed_at=at_, **more)

    told = titles(
        event("run-state", version=3, started_at=at(2), completed_at=at(9), state="completed"),
        was("running", 2, 1),
        was("on_hold", 4, 2),
        was("on_hold", 4, 2, id_="again"),
        was("failed", 4),
        was("cancelled", 5, project_id="q"),
        was("bad\n", 6),
    )
    assert told == ["Run 建立", "Run 開始執行", "狀態：failed", "狀態：on_hold", "Run 結束"]


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
    assert titles(event("run-state"), message, lang="en")[-1] == f"SLACK: {label}"


ERROR = f"incident={INCIDENT} agent=-- node=-- duration_ms=0 error="
PREVIEW = (
    f"incident={INCIDENT} mode=-- preview=success route=-- "
    "writes_incident=null writes_auto_repair=null"
)


@pytest.mark.parametrize(
    ("topic", "data", "expected"),
    [
        (
            "mcp-gateway-audit",
            {"gate_result": {"policy_enforced": None}},
            {"summary": "agent=unknown scope=unknown policy_enforced=null"},
        ),
        (
            "step-journal",
            {"block_reason": "", "error_code": "E1", "completed_at": at(7)},
            {"ts": at(7), "summary": "E1"},
        ),
        ("step-journal", {"tool_name": "operator_console.reject"}, {"title": "人工審批 0: 拒絕"}),
        (
            "step-journal",
            {"tool_name": "operator_console.note"},
            {"kind": "approval", "title": "Step 0: operator_console.note"},
        ),
        ("outbound-message", {"content_preview": "", "send_error": "gone"}, {"summary": "gone"}),
        (
            "approval-command",
            {"decision": "reject", "reason": None},
            {"title": "人工審批：拒絕", "summary": "alice: -"},
        ),
        (
            "mcp-legacy-audit",
            {"duration_ms": 0, "error_message": "x" * 600},
            {"summary": ERROR.ljust(500, "x")},
        ),
        (
            "remediation-evidence",
            {"allowed": False, "verification_result_preview": "success"},
            {"status": "failed", "summary": PREVIEW},
        ),
        ("conversation-event", {"run_id": RUN}, {"status": "received", "summary": None}),
        (
            "conversation-event",
            {"run_id": RUN, "is_duplicate": True, "content_preview": "x"},
            {"status": "duplicate", "summary": "x"},
        ),
    ],
)
def test_what_an_item_says(topic: str, data: dict[str, Any], expected: dict[str, Any]) -> None:
    last = detail(run_with_incident(), event(topic, **data))["timeline"][-1]
    assert expected.items() <= last.items()
