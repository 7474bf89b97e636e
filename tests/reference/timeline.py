"""The timeline of a run, whole and in order."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.reference import titles
from tests.reference.belonging import inbound_events, items, legacy_records, own, states
from tests.reference.decoding import Event
from tests.reference.plain import pick, plain
from tests.reference.platform import Platform, Row
from tests.reference.summary import item_route

CUT = 500

Told = tuple[str, titles.Title, str, str | None, Row]
"""Kind, title, status, summary and metadata of an item."""


Item = tuple[datetime, int, tuple[Any, ...], Told]
"""Time, rank and tie key, by which items are in order, and what is told."""


def timeline(platform: Platform, run: Event, lang: str = "zh-TW") -> list[Row]:
    """All items of the run's timeline, titles in `zh-TW` or `en`."""
    language = titles.LANGUAGES.index(lang)
    return [
        {
            **{"ts": plain(ts), "kind": kind, "title": title[language], "status": status},
            **{"summary": summary, "metadata": metadata},
        }
        for ts, _, _, (kind, title, status, summary, metadata) in sorted(
            all_items(platform, run), key=lambda item: item[:3]
        )
    ]


def all_items(platform: Platform, run: Event) -> Iterator[Item]:
    yield from of_run(run.data)
    told_otherwise = {run.data[name] for name in ("created_at", "started_at", "completed_at")}
    for changed_at, state in states(platform, run):
        if changed_at not in told_otherwise:
            yield (changed_at, 2, (state,), ("state", titles.state(state), state, None, {}))
    for row in inbound_events(platform, run):
        yield (row["received_at"], 3, (row["event_id"],), inbound(row))
    for row in own(platform, run, "step-journal"):
        ts = row["completed_at"] or row["created_at"]
        yield (ts, 4, (row["step_seq"], row["step_id"]), step(row))
    for row in own(platform, run, "mcp-gateway-audit"):
        yield (row["created_at"], 5, (row["call_id"],), gateway_call(row))
    for row in legacy_records(platform, run):
        yield (row["created_at"], 6, (row["id"],), legacy_record(row))
    for row in items(platform, run):
        yield (row["created_at"], 7, (row["id"],), remediation(row))
    for row in own(platform, run, "approval-command"):
        yield (row["decided_at"], 8, (row["command_id"],), decision(row))
    for row in own(platform, run, "outbound-message"):
        ts = row["sent_at"] or row["queued_at"]
        yield (ts, 9, (row["message_id"],), outbound(row))


def of_run(run: Row) -> Iterator[Item]:
    opening = f"{run['trigger_type'] or 'unknown'} → {run['agent_id']}"
    about = pick(run, "trace_id", "trigger_ref")
    yield (run["created_at"], 0, (), ("run", titles.RUN_CREATED, run["state"], opening, about))
    if run["started_at"] is not None:
        told: Told = ("run", titles.RUN_STARTED, "running", run["worker_id"], {})
        yield (run["started_at"], 1, (), told)
    if run["completed_at"] is not None:
        why = run["error_detail"] or run["error_code"]
        yield (run["completed_at"], 10, (), ("run", titles.RUN_ENDED, run["state"], why, {}))


def inbound(row: Row) -> Told:
    status = "duplicate" if row["is_duplicate"] else "received"
    about = pick(row, "provider_event_id")
    return "inbound", titles.inbound(row), status, row["content_preview"], about


def step(row: Row) -> Told:
    kind = "approval" if row["tool_name"].startswith("operator_console.") else "step"
    why = row["block_reason"] or row["error_code"]
    return kind, titles.step(row), row["result_status"], why, pick(row, "was_blocked", "latency_ms")


def gateway_call(row: Row) -> Told:
    gate = row["gate_result"] or {}
    scope, enforced = gate.get("required_scope"), gate.get("policy_enforced")
    summary = row["block_reason"] or (
        f"agent={row['agent_id'] or 'unknown'} scope={literal(scope or 'unknown')} "
        f"policy_enforced={literal(enforced)}"
    )
    about = pick(row, "agent_id", "block_gate", "latency_ms")
    about |= {"required_scope": scope, "policy_enforced": enforced}
    return "mcp", titles.gateway_call(row), row["result_status"], summary, about


def legacy_record(row: Row) -> Told:
    status = {True: "success", False: "failed", None: "warning"}[row["success"]]
    summary = (
        f"incident={or_dashes(row['incident_id'])} agent={or_dashes(row['agent_role'])} "
        f"node={or_dashes(row['flywheel_node'])} duration_ms={or_dashes(row['duration_ms'])} "
        f"error={or_dashes(row['error_message'])}"
    )
    about = pick(row, "incident_id", "agent_role", "flywheel_node")
    about |= {"history_source": "mcp_audit_log"}
    return "mcp", titles.legacy_record(row), status, summary[:CUT], about


def remediation(row: Row) -> Told:
    preview = row["verification_result_preview"]
    failed = row["success"] is False or row["allowed"] is False
    passed = "success" if preview == "success" else "warning"
    summary = (
        f"incident={or_dashes(row['incident_id'])} mode={or_dashes(row['mode'])} "
        f"preview={or_dashes(preview)} route={item_route(row)} "
        f"writes_incident={literal(row['writes_incident_state'])} "
        f"writes_auto_repair={literal(row['writes_auto_repair_result'])}"
    )
    about = pick(row, "incident_id", "work_item_id")
    about |= pick(row, "writes_incident_state", "writes_auto_repair_result")
    about |= {"mcp_route": item_route(row), "history_source": "alert_operation_log"}
    return "remediation", titles.REMEDIATION, "failed" if failed else passed, summary[:CUT], about


def decision(row: Row) -> Told:
    summary = f"{row['approver_id']}: {row['reason'] or '-'}"
    about = pick(row, "command_id", "approver_id", "approval_token_jti", "run_version")
    return "approval", titles.decision(row), row["decision"], summary, about


def outbound(row: Row) -> Told:
    summary = row["content_preview"] or row["send_error"]
    about = pick(row, "message_type", "provider_message_id", "triggered_by_state")
    return "outbound", titles.outbound(row), row["send_status"], summary, about


def or_dashes(value: Any) -> str:
    """The value as text, `--` for what is missing (null or empty; 0 is there)."""
    return "--" if value is None or value == "" else str(value)


def literal(value: Any) -> str:
    """A string as it is, anything else as JSON writes it."""
    return (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=number)
    )


def number(value: Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)
