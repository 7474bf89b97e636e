"""The synthetic history: the same bytes for a seed, all valid, all kinds, in order of time."""

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import pytest

from contracts.decoding import Undecodable, decode
from contracts.topics import TOPICS
from projector.demo.history import Generated, history
from tests.reference import Platform, Record, load, run_detail, run_list

RUNS = 200
STATES = "pending running waiting_approval completed failed cancelled timed_out"
STATUSES = "no_evidence mcp_observed blocked write_observed read_only_dry_run observed"
LABELS = """
    Runbook awaiting review|CI/CD status|AI governance alert|AI repair failed, handed to a human|
    AI repair completed|Incident escalation|Alert approval card|Approval request|Error reply|
    Outcome|Progress update
"""


@pytest.fixture(scope="module")
def events() -> list[Generated]:
    return list(history(1, RUNS))


@pytest.fixture(scope="module")
def platform(events: list[Generated]) -> Platform:
    return load([Record(event.topic, event.key, event.value) for event in events])


def data(events: list[Generated], topic: str) -> Iterator[dict[str, Any]]:
    return (json.loads(event.value)["data"] for event in events if event.topic == topic)


def test_a_seed_gives_the_same_bytes_in_another_process(events: list[Generated]) -> None:
    digest = hashlib.sha256(b"".join(event.line for event in events)).hexdigest()
    command = [sys.executable, "-m", "projector.cli", "generate", "--runs", str(RUNS)]
    written = subprocess.run([*command, "--seed", "1"], stdout=subprocess.PIPE, check=True).stdout
    assert hashlib.sha256(written).hexdigest() == digest


def test_every_event_is_valid(events: list[Generated]) -> None:
    for event in events:
        decoded = decode(event.topic, event.value)
        assert not isinstance(decoded, Undecodable), f"{event.topic}: {decoded}"


def test_every_topic_has_its_share_in_order_of_time(events: list[Generated]) -> None:
    shares = Counter(event.topic for event in events)
    assert set(shares) == {topic.suffix for topic in TOPICS}
    assert 30 < len(events) / RUNS < 50
    for topic in ("conversation-event", "mcp-legacy-audit", "remediation-evidence"):
        assert shares[topic] > 0.2 * RUNS
    assert all(earlier.at <= later.at for earlier, later in pairwise(events))
    steps = Counter(step["run_id"] for step in data(events, "step-journal"))
    (_, longest), (_, second) = steps.most_common(2)
    assert longest > 300
    assert second < 100


def test_runs_and_messages_are_of_every_kind(platform: Platform) -> None:
    runs = run_list(platform)
    assert {run["state"] for run in runs} == set(STATES.split())
    assert {run["remediation_summary"]["status"] for run in runs} == set(STATUSES.split())
    titles = {
        item["title"].partition(": ")[2]
        for run in runs
        if (detail := run_detail(platform, run["run_id"], "en"))
        for item in detail["timeline"]
        if item["kind"] == "outbound"
    }
    assert titles == {label.strip() for label in LABELS.split("|")}


def test_what_waits_says_what_for_and_decisions_are_on_its_version(
    events: list[Generated],
) -> None:
    states = [json.loads(event.value) for event in events if event.topic == "run-state"]
    waiting = [state for state in states if state["data"]["state"] == "waiting_approval"]
    assert any(state["data"]["timeout_at"] is None for state in waiting)
    actions = [state["data"]["pending_action"] for state in waiting]
    assert all(action["tool_name"] for action in actions)
    requested = {(action["requested_by"] or "").partition(":")[0] for action in actions}
    assert requested == {"agent", "user", ""}
    decided = {(one["run_id"], one["run_version"]) for one in data(events, "approval-command")}
    versions = {(state["data"]["run_id"], state["entityversion"]) for state in waiting}
    assert set() < decided <= versions


def test_memory_does_not_grow_with_the_history() -> None:
    endless = history(1, None)
    for _ in islice(endless, 4_000):
        pass
    tracemalloc.start()
    try:
        for _ in islice(endless, 20_000):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
