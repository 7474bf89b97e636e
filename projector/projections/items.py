"""What belongs to one run, rows of `item`: steps, gateway calls, decisions, outbound messages."""

from typing import Final

from contracts import incidents
from contracts.envelope import Event
from contracts.events import ApprovalDecided, GatewayCallAudited, MessageOutbound, StepRecorded
from contracts.keys import decision_key, entity_key
from projector.projections.rows import Rank, Row, dumps, fields, literal

CONSOLE: Final = "operator_console."
"""Prefix of the tools an operator uses by hand."""

VERDICTS: Final = {
    "operator_console.approve": ("核准", "approved"),
    "operator_console.reject": ("拒絕", "rejected"),
}

MARKERS: Final = (
    ("RUNBOOK REVIEW", "Runbook 待人工審核", "Runbook awaiting review"),
    ("AWOOOI CI/CD", "CI/CD 狀態通知", "CI/CD status"),
    ("AI 治理警報", "AI 治理警報", "AI governance alert"),
    ("HANDOFF REQUIRED", "AI 自動修復失敗，已轉人工", "AI repair failed, handed to a human"),
    ("AI 自動修復失敗", "AI 自動修復失敗，已轉人工", "AI repair failed, handed to a human"),
    ("AUTO RESOLVED", "AI 自動修復完成", "AI repair completed"),
    ("AI 自動修復完成", "AI 自動修復完成", "AI repair completed"),
    ("ESCALATION", "事故升級通知", "Incident escalation"),
    ("事故升級", "事故升級通知", "Incident escalation"),
    ("ACTION REQUIRED", "告警審批卡", "Alert approval card"),
)
"""What a preview says the message is about; of several markers the one listed first counts."""

BY_TYPE: Final = {
    "approval_request": ("人工審批請求", "Approval request"),
    "error": ("錯誤回覆", "Error reply"),
    "final": ("處置結果", "Outcome"),
    "interim": ("漸進式狀態回饋", "Progress update"),
}


def step(event: Event[StepRecorded]) -> Row:
    """Return the row of a step: `step` in the timeline, or `approval` if made at the console."""
    data = event.data
    title, title_en = _step_titles(data)
    return {
        "entity": entity_key("step", data.run_id, data.step_id),
        "run_id": data.run_id,
        "ts": data.completed_at or data.created_at,
        "rank": Rank.STEP,
        "seq": data.step_seq,
        "tie": data.step_id,
        "listed_at": None,
        "kind": "approval" if data.tool_name.startswith(CONSOLE) else "step",
        "title": title,
        "title_en": title_en,
        "status": data.result_status,
        "summary": data.block_reason or data.error_code,
        "metadata": dumps({"was_blocked": data.was_blocked, "latency_ms": data.latency_ms}),
        "incidents": None,
        "run_version": None,
        "detail": dumps(fields(data, "run_id", "project_id")),
    }


def _step_titles(data: StepRecorded) -> tuple[str, str]:
    if verdict := VERDICTS.get(data.tool_name):
        zh, en = verdict
        return f"人工審批 {data.step_seq}: {zh}", f"Human approval {data.step_seq}: {en}"
    title = f"Step {data.step_seq}: {data.tool_name}"
    return title, title


def gateway_call(event: Event[GatewayCallAudited]) -> Row:
    """Return the row of a gateway call: `mcp` in the timeline."""
    data = event.data
    gate = data.gate_result or {}
    scope, enforced = gate.get("required_scope"), gate.get("policy_enforced")
    title = f"MCP: {data.tool_name}"
    summary = (
        f"agent={data.agent_id or 'unknown'}"
        f" scope={literal(scope) if scope else 'unknown'}"
        f" policy_enforced={literal(enforced)}"
    )
    return {
        "entity": entity_key("call", data.call_id),
        "run_id": data.run_id,
        "ts": data.created_at,
        "rank": Rank.GATEWAY_CALL,
        "seq": 0,
        "tie": data.call_id,
        "listed_at": data.created_at,
        "kind": "mcp",
        "title": title,
        "title_en": title,
        "status": data.result_status,
        "summary": data.block_reason or summary,
        "metadata": dumps(
            {
                "agent_id": data.agent_id,
                "block_gate": data.block_gate,
                "required_scope": scope,
                "policy_enforced": enforced,
                "latency_ms": data.latency_ms,
            }
        ),
        "incidents": None,
        "run_version": None,
        "detail": dumps(
            fields(data, "run_id", "project_id")
            | {
                "required_scope": scope,
                "policy_enforced": enforced,
                "is_shadow": gate.get("is_shadow"),
            }
        ),
    }


def decision(event: Event[ApprovalDecided]) -> Row:
    """Return the row of a decision: `approval` in the timeline, `decision` in the queue."""
    data = event.data
    zh, en = ("核准", "approved") if data.decision == "approve" else ("拒絕", "rejected")
    return {
        "entity": decision_key(data.command_id),
        "run_id": data.run_id,
        "ts": data.decided_at,
        "rank": Rank.DECISION,
        "seq": 0,
        "tie": data.command_id,
        "listed_at": data.decided_at,
        "kind": "approval",
        "title": f"人工審批：{zh}",
        "title_en": f"Human approval: {en}",
        "status": data.decision,
        "summary": f"{data.approver_id}: {data.reason or '-'}",
        "metadata": dumps(
            {
                "command_id": data.command_id,
                "approver_id": data.approver_id,
                "approval_token_jti": data.approval_token_jti,
                "run_version": data.run_version,
            }
        ),
        "incidents": None,
        "run_version": data.run_version,
        "detail": dumps(
            {
                "command_id": data.command_id,
                "decision": data.decision,
                "approver_id": data.approver_id,
                "decided_at": data.decided_at,
                # it has come back from its topic
                "status": "published",
            }
        ),
    }


def outbound(event: Event[MessageOutbound]) -> Row:
    """Return the row of a message to people: `outbound` in the timeline."""
    data = event.data
    zh, en = _subject(data)
    channel = data.channel_type.upper()
    mentioned = [*incidents.in_text(data.content_preview), *incidents.in_text(data.send_error)]
    return {
        "entity": entity_key("message", data.message_id),
        "run_id": data.run_id,
        "ts": data.sent_at or data.queued_at,
        "rank": Rank.OUTBOUND,
        "seq": 0,
        "tie": data.message_id,
        "listed_at": data.queued_at,
        "kind": "outbound",
        "title": f"{channel}：{zh}",
        "title_en": f"{channel}: {en}",
        "status": data.send_status,
        "summary": data.content_preview or data.send_error,
        "metadata": dumps(
            {
                "message_type": data.message_type,
                "provider_message_id": data.provider_message_id,
                "triggered_by_state": data.triggered_by_state,
            }
        ),
        "incidents": incidents.unique(mentioned) or None,
        "run_version": None,
        "detail": dumps(fields(data, "run_id", "project_id")),
    }


def _subject(data: MessageOutbound) -> tuple[str, str]:
    """Return what a message is about, in zh-TW and in English."""
    for marker, zh, en in MARKERS:
        if data.content_preview and marker in data.content_preview:
            return zh, en
    return BY_TYPE.get(data.message_type, (data.message_type, data.message_type))
