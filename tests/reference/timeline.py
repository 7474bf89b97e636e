"""The timeline of a run, whole and in order."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.reference import titles
from tests.reference.belonging import (
    Row,
    decisions,
    gateway_calls,
    inbound_events,
    items,
    legacy_records,
    outbound_messages,
    states,
    steps,
)
from tests.reference.decoding import Event
from tests.reference.plain import jsonable, pick, plain
from tests.reference.platform import Platform
from tests.reference.summary import item_route

CUT = 500


@dataclass(frozen=True, slots=True)
class Item:
    """One item; items are in order of (ts, rank, tie)."""

    ts: datetime
    rank: int
    tie: tuple[Any, ...]
    kind: str
    title: titles.Title
    status: str
    summary: str | None
    metadata: dict[str, Any] = field(default_factory=dict)


def timeline(platform: Platform, run: Event, lang: str = "zh-TW") -> list[dict[str, Any]]:
    """All items of the run's timeline, titles in `zh-TW` or `en`."""
    found = sorted(all_items(platform, run), key=lambda item: (item.ts, item.rank, item.tie))
    return [
        {
            "ts": plain(item.ts),
            "kind": item.kind,
            "title": item.title[titles.LANGUAGES.index(lang)],
            "status": item.status,
            "summary": item.summary,
            "metadata": item.metadata,
        }
        for item in found
    ]


def all_items(platform: Platform, run: Event) -> Iterator[Item]:
    yield from of_run(run.data)
    yield from of_states(platform, run)
    yield from map(of_inbound, inbound_events(platform, run))
    yield from map(of_step, steps(platform, run))
    yield from map(of_gateway_call, gateway_calls(platform, run))
    yield from map(of_legacy_record, legacy_records(platform, run))
    yield from map(of_remediation, items(platform, run))
    yield from map(of_decision, decisions(platform, run))
    yield from map(of_outbound, outbound_messages(platform, run))


def of_run(run: Row) -> Iterator[Item]:
    opening = f"{run['trigger_type'] or 'unknown'} → {run['agent_id']}"
    about = pick(run, "trace_id", "trigger_ref")
    yield Item(run["created_at"], 0, (), "run", titles.RUN_CREATED, run["state"], opening, about)
    if run["started_at"] is not None:
        yield Item(run["started_at"], 1, (), "run", titles.RUN_STARTED, "running", run["worker_id"])
    if run["completed_at"] is not None:
        end = run["error_detail"] or run["error_code"]
        yield Item(run["completed_at"], 10, (), "run", titles.RUN_ENDED, run["state"], end)


def of_states(platform: Platform, run: Event) -> Iterator[Item]:
    told = {run.data[name] for name in ("created_at", "started_at", "completed_at")}
    for changed_at, state in states(platform, run):
        if changed_at not in told:
            yield Item(changed_at, 2, (state,), "state", titles.state(state), state, None)


def of_inbound(row: Row) -> Item:
    return Item(
        row["received_at"],
        3,
        (row["event_id"],),
        "inbound",
        titles.inbound(row),
        "duplicate" if row["is_duplicate"] else "received",
        row["content_preview"],
        pick(row, "provider_event_id"),
    )


def of_step(row: Row) -> Item:
    return Item(
        row["completed_at"] or row["created_at"],
        4,
        (row["step_seq"], row["step_id"]),
        "approval" if row["tool_name"].startswith("operator_console.") else "step",
        titles.step(row),
        row["result_status"],
        row["block_reason"] or row["error_code"],
        pick(row, "was_blocked", "latency_ms"),
    )


def of_gateway_call(row: Row) -> Item:
    gate = row["gate_result"] or {}
    scope, enforced = gate.get("required_scope"), gate.get("policy_enforced")
    told = (
        f"agent={row['agent_id'] or 'unknown'} scope={literal(scope or 'unknown')} "
        f"policy_enforced={literal(enforced)}"
    )
    return Item(
        row["created_at"],
        5,
        (row["call_id"],),
        "mcp",
        titles.gateway_call(row),
        row["result_status"],
        row["block_reason"] or told,
        {
            **pick(row, "agent_id", "block_gate"),
            "required_scope": scope,
            "policy_enforced": enforced,
            **pick(row, "latency_ms"),
        },
    )


def of_legacy_record(row: Row) -> Item:
    told = (
        f"incident={shown(row['incident_id'])} agent={shown(row['agent_role'])} "
        f"node={shown(row['flywheel_node'])} duration_ms={shown(row['duration_ms'])} "
        f"error={shown(row['error_message'])}"
    )
    return Item(
        row["created_at"],
        6,
        (row["id"],),
        "mcp",
        titles.legacy_record(row),
        {True: "success", False: "failed", None: "warning"}[row["success"]],
        told[:CUT],
        {
            **pick(row, "incident_id", "agent_role", "flywheel_node"),
            "history_source": "mcp_audit_log",
        },
    )


def of_remediation(row: Row) -> Item:
    preview = row["verification_result_preview"]
    failed = row["success"] is False or row["allowed"] is False
    passed = "success" if preview == "success" else "warning"
    told = (
        f"incident={shown(row['incident_id'])} mode={shown(row['mode'])} "
        f"preview={shown(preview)} route={item_route(row)} "
        f"writes_incident={literal(row['writes_incident_state'])} "
        f"writes_auto_repair={literal(row['writes_auto_repair_result'])}"
    )
    return Item(
        row["created_at"],
        7,
        (row["id"],),
        "remediation",
        titles.REMEDIATION,
        "failed" if failed else passed,
        told[:CUT],
        {
            **pick(row, "incident_id", "work_item_id"),
            "mcp_route": item_route(row),
            **pick(row, "writes_incident_state", "writes_auto_repair_result"),
            "history_source": "alert_operation_log",
        },
    )


def of_decision(row: Row) -> Item:
    return Item(
        row["decided_at"],
        8,
        (row["command_id"],),
        "approval",
        titles.decision(row),
        row["decision"],
        f"{row['approver_id']}: {row['reason'] or '-'}",
        pick(row, "command_id", "approver_id", "approval_token_jti", "run_version"),
    )


def of_outbound(row: Row) -> Item:
    return Item(
        row["sent_at"] or row["queued_at"],
        9,
        (row["message_id"],),
        "outbound",
        titles.outbound(row),
        row["send_status"],
        row["content_preview"] or row["send_error"],
        pick(row, "message_type", "provider_message_id", "triggered_by_state"),
    )


def shown(value: Any) -> str:
    """The value as text, `--` for what is missing (null or empty; 0 is there)."""
    return "--" if value is None or value == "" else str(value)


def literal(value: Any) -> str:
    """A string as it is, anything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(jsonable(value), ensure_ascii=False)
