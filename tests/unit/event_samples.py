"""Events for the tests of the contracts: of each topic the least it may say, and all it can."""

import json
from typing import Any

from contracts.topics import by_suffix

RUN = "d653e980-071c-4bc9-a792-0c6d8d869707"
OTHER = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
AT = "2026-05-18T06:01:48.951537Z"
LATER = "2026-05-18T14:01:49+08:00"

OURS = {"run_id": RUN, "project_id": "p0"}
ACTION = {"tool_name": "kubectl.delete", "summary": "delete a pod"}
ACTION |= {"arguments_sha256": "00", "requested_by": "bob"}

REQUIRED: dict[str, dict[str, Any]] = {
    "run-state": OURS
    | {"agent_id": "偵錯", "state": "running", "state_changed_at": AT, "created_at": AT},
    "step-journal": OURS
    | {"step_id": "s1", "step_seq": 1, "tool_name": "kubectl.get", "result_status": "success"}
    | {"created_at": AT},
    "outbound-message": OURS
    | {"message_id": "m1", "channel_type": "telegram", "message_type": "final"}
    | {"send_status": "sent", "queued_at": AT},
    "conversation-event": {"event_id": OTHER, "project_id": "p0", "channel_type": "telegram"}
    | {"received_at": AT},
    "mcp-gateway-audit": OURS
    | {"call_id": "c1", "tool_name": "kubectl.get", "result_status": "success"}
    | {"created_at": AT},
    "mcp-legacy-audit": {"id": "r1", "created_at": AT},
    "remediation-evidence": {"id": 7, "incident_id": "INC-20260518-AB12", "created_at": AT},
    "project": {"project_id": "p0", "display_name": "Project", "created_at": AT},
    "contract-revision": {"revision_id": "rev-1", "contract_id": "c1", "contract_family": "agent"}
    | {"lifecycle_status": "draft", "body_hash": "00", "version_major": 1, "version_minor": 0}
    | {"project_id": "p0", "created_at": AT},
    "approval-command": OURS
    | {"command_id": OTHER, "decision": "approve", "approver_id": "alice", "run_version": 3}
    | {"decided_at": AT, "new_state": "running"},
}

OPTIONAL: dict[str, dict[str, Any]] = {
    "run-state": {"is_shadow": True, "trace_id": "t1", "trigger_type": "webhook"}
    | {"trigger_ref": "cron:INC-20260518-AB12", "worker_id": "w1", "cost_usd": "0.375"}
    | {"step_count": 3, "attempt_count": 1, "max_attempts": 3, "error_code": "E1"}
    | {"error_detail": "it broke", "started_at": AT, "completed_at": LATER}
    | {"timeout_at": LATER, "heartbeat_at": AT, "pending_action": ACTION},
    "step-journal": {"was_blocked": True, "block_reason": "policy", "error_code": "E1"}
    | {"latency_ms": 12, "completed_at": LATER},
    "outbound-message": {"content_preview": "AI 自動修復完成", "send_error": "timeout"}
    | {"provider_message_id": "pm1", "sent_at": LATER, "triggered_by_state": "completed"},
    "conversation-event": {"run_id": RUN, "provider_event_id": "pe1", "channel_chat_id": "chat"}
    | {"content_preview": "help", "content_redacted": "***"}
    | {"source_envelope": {"source_refs": {"incident_ids": ["INC-20260518-AB12", 5]}}}
    | {"is_duplicate": True},
    "mcp-gateway-audit": {"agent_id": "a1", "block_gate": "gate2", "block_reason": "scope"}
    | {"latency_ms": 5}
    | {"gate_result": {"required_scope": "read", "policy_enforced": True, "more": [1.5, None]}},
    "mcp-legacy-audit": {"incident_id": "INC-20260518-AB12", "project_id": "p0"}
    | {"session_id": "se1", "flywheel_node": "n1", "mcp_server": "k8s", "tool_name": "get"}
    | {"duration_ms": 10, "success": False, "error_message": "no", "agent_role": "sre"},
    "remediation-evidence": {"project_id": "p0", "work_item_id": "wi1", "agent_id": "a1"}
    | {"tool_name": "get", "required_scope": "read", "mode": "dry_run", "success": True}
    | {"allowed": True, "verification_result_preview": "success"}
    | {"writes_incident_state": False, "writes_auto_repair_result": False},
    "project": {"migration_mode": "shadow", "budget_limit_usd": 12.5, "is_active": False},
    "contract-revision": {},
    "approval-command": {"reason": "fine", "tool_name": "kubectl.delete", "arguments_sha256": "00"}
    | {"approval_token": "e30.e30.", "approval_token_jti": "j1"},
}


def envelope(suffix: str, data: Any, **attributes: Any) -> dict[str, Any]:
    """An event of the topic with this payload; attributes replace or add to the usual ones."""
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "engine",
        "type": by_suffix(suffix).type,
        "time": AT,
        "data": data,
        **attributes,
    }


def least(suffix: str, **fields: Any) -> dict[str, Any]:
    """The event with nothing in its payload but what is required, and these fields."""
    return envelope(suffix, REQUIRED[suffix] | fields)


def most(suffix: str, **fields: Any) -> dict[str, Any]:
    """The event with every field that it can have."""
    event = envelope(suffix, REQUIRED[suffix] | OPTIONAL[suffix] | fields)
    return event | {"entityversion": 4, "subject": "s", "traceparent": "00-ab-cd-01"}


def as_bytes(event: Any) -> bytes:
    """The event as a record's value."""
    return json.dumps(event, ensure_ascii=False).encode()
