"""Payloads of what a generated run does, each as it is at the moment `at`."""

from typing import Any, Final

from projector.demo.generate_case import Case
from projector.demo.generate_envelope import timestamp
from projector.demo.generate_words import (
    APPROVERS,
    ERRORS,
    GATES,
    NODES,
    REASONS,
    SERVERS,
    TOOLS,
)

Data = dict[str, Any]

NEW_STATES: Final = {"approve": "running", "reject": "cancelled"}
"""State a run is asked to go on to, by what was decided."""

_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def mentioning(text: str, case: Case) -> str:
    """The text, with the run's incident named where it has one."""
    return f"{text} {case.incident_id}" if case.incident_id else text


def inbound(case: Case, at: int, *, linked: bool) -> Data:
    """What set the run off; `linked` when the channel knew the run already."""
    references = {"source_refs": {"incident_ids": [case.incident_id]}}
    return {
        "event_id": case.inbound_id,
        "project_id": case.project_id,
        "run_id": case.run_id if linked else None,
        "channel_type": "alertmanager" if case.trigger_type == "alert" else "telegram",
        "provider_event_id": case.provider_event_id,
        "channel_chat_id": "-100200300",
        "content_preview": mentioning(case.alert, case),
        "source_envelope": references if case.incident_id else None,
        "is_duplicate": case.dice.chance(0.05),
        "received_at": timestamp(at),
    }


def step_begun(case: Case, at: int, number: int, tool: str) -> Data:
    """A step that has begun."""
    return {
        "step_id": f"{case.run_id}/{number}",
        "run_id": case.run_id,
        "project_id": case.project_id,
        "step_seq": number,
        "tool_name": tool,
        "result_status": "running",
        "created_at": timestamp(at),
    }


def gateway_call(case: Case, at: int, number: int, tool: str, scope: str) -> Data:
    """How the gateway answered a step's tool call: success, failed, or blocked by a gate."""
    gate, why = case.dice.pick(GATES) if case.dice.chance(0.04) else (None, None)
    failed = gate is None and case.dice.chance(0.05)
    return {
        "call_id": f"{case.run_id}#{number}",
        "run_id": case.run_id,
        "project_id": case.project_id,
        "agent_id": case.agent_id,
        "tool_name": tool,
        "result_status": "blocked" if gate else "failed" if failed else "success",
        "block_gate": gate,
        "block_reason": why,
        "created_at": timestamp(at),
        "gate_result": {
            "required_scope": scope,
            "policy_enforced": scope == "write",
            "is_shadow": case.is_shadow,
        },
    }


def step_outcome(case: Case, at: int, call: Data, latency_ms: int) -> Data:
    """What a step's completion adds to it, after the gateway's answer."""
    failed = call["result_status"] == "failed"
    return {
        "result_status": call["result_status"],
        "was_blocked": call["block_gate"] is not None,
        "block_reason": call["block_reason"],
        "error_code": case.dice.pick(ERRORS)[0] if failed else None,
        "latency_ms": latency_ms,
        "completed_at": timestamp(at),
    }


def message_queued(
    case: Case, at: int, number: int, *, channel: str, kind: str, text: str, state: str
) -> Data:
    """A message that waits to be sent."""
    return {
        "message_id": f"{case.run_id}!{number}",
        "run_id": case.run_id,
        "project_id": case.project_id,
        "channel_type": channel,
        "message_type": kind,
        "content_preview": mentioning(text, case),
        "send_status": "queued",
        "queued_at": timestamp(at),
        "triggered_by_state": state,
    }


def message_outcome(case: Case, at: int, channel: str) -> Data:
    """What sending adds to a message."""
    if case.dice.chance(0.03):
        return {"send_status": "failed", "send_error": f"{channel} answered 429"}
    number = case.dice.between(10_000, 99_999)
    return {
        "send_status": "sent",
        "provider_message_id": f"{channel}:{number}",
        "sent_at": timestamp(at),
    }


def legacy_call(case: Case, at: int, duration_ms: int) -> Data:
    """A tool call for the run's incident that went past the gateway."""
    succeeded = case.dice.pick((True, True, True, True, False, None))
    return {
        "id": case.dice.between(1, 2**53),
        "incident_id": case.incident_id,
        "project_id": case.project_id if case.dice.chance(0.7) else None,
        "session_id": case.run_id[:8],
        "flywheel_node": case.dice.pick(NODES),
        "mcp_server": case.dice.pick(SERVERS),
        "tool_name": case.dice.pick(TOOLS)[0],
        "duration_ms": duration_ms,
        "success": succeeded,
        "error_message": None if succeeded else case.dice.pick(ERRORS)[1],
        "agent_role": case.agent_id,
        "created_at": timestamp(at),
    }


def evidence(case: Case, at: int) -> Data:
    """What a remediation of the run's incident has shown."""
    writes = case.dice.chance(0.3)
    return {
        "id": case.dice.uuid(),
        "incident_id": case.incident_id,
        "project_id": case.project_id if case.dice.chance(0.8) else None,
        "work_item_id": f"ADR-100/{case.incident_id}",
        "agent_id": case.agent_id,
        "tool_name": case.dice.pick(TOOLS)[0],
        "required_scope": "write" if writes else "read",
        "mode": "apply" if writes else "dry_run",
        "success": case.dice.chance(0.9),
        "allowed": case.dice.chance(0.95),
        "verification_result_preview": case.dice.pick(("success", "degraded", "no change")),
        "writes_incident_state": writes,
        "writes_auto_repair_result": writes and case.dice.chance(0.5),
        "created_at": timestamp(at),
    }


def pending_action(case: Case, tool: str) -> Data:
    """What a human is asked to allow."""
    return {
        "tool_name": tool,
        "summary": f"{tool} 以處理：{case.alert}",
        "arguments_sha256": _DIGEST,
        "requested_by": f"agent:{case.agent_id}",
    }


def decision(case: Case, at: int, version: int, action: Data) -> Data:
    """What a human decided on the run as it was in `version`."""
    decided = "approve" if case.dice.chance(0.8) else "reject"
    return {
        "command_id": case.dice.uuid(),
        "run_id": case.run_id,
        "project_id": case.project_id,
        "decision": decided,
        "approver_id": case.dice.pick(APPROVERS),
        "reason": case.dice.pick(REASONS),
        "run_version": version,
        "tool_name": action["tool_name"],
        "arguments_sha256": action["arguments_sha256"],
        "approval_token_jti": case.dice.uuid() if decided == "approve" else None,
        "decided_at": timestamp(at),
        "new_state": NEW_STATES[decided],
    }
