"""The synthetic history: the same bytes for a seed, all valid, all kinds, in order of time."""

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any

import pytest

from contracts.decoding import Undecodable, decode
from contracts.topics import TOPICS
from projector.demo.generate import history
from projector.demo.generate_envelope import Generated

START = datetime(2026, 5, 18, 6, tzinfo=UTC)
RUNS = 300


@pytest.fixture(scope="module")
def events() -> list[Generated]:
    return list(history(1, RUNS, START))


def data(events: list[Generated], topic: str) -> Iterator[dict[str, Any]]:
    return (json.loads(event.value)["data"] for event in events if event.topic == topic)


def test_a_seed_gives_the_same_bytes_in_another_process(events: list[Generated]) -> None:
    digest = hashlib.sha256(b"".join(event.line for event in events)).hexdigest()
    command = [sys.executable, "-m", "projector.cli", "generate", "--runs", str(RUNS)]
    written = subprocess.run([*command, "--seed", "1"], stdout=subprocess.PIPE, check=True).stdout
    assert hashlib.sha256(written).hexdigest() == digest


def test_another_seed_gives_other_runs(events: list[Generated]) -> None:
    mine = {event.key for event in events if event.topic == "run-state"}
    others = {event.key for event in history(2, RUNS, START) if event.topic == "run-state"}
    assert len(mine) == len(others) == RUNS
    assert not mine & others


def test_a_longer_history_begins_as_the_shorter_one(events: list[Generated]) -> None:
    begun = list(islice(history(1, None, START), 1_000))
    assert begun == events[:1_000]


def test_every_event_is_valid(events: list[Generated]) -> None:
    for event in events:
        decoded = decode(event.topic, event.value)
        assert not isinstance(decoded, Undecodable), f"{event.topic}: {decoded}"


def test_every_topic_has_its_share(events: list[Generated]) -> None:
    shares = Counter(event.topic for event in events)
    assert set(shares) == {topic.suffix for topic in TOPICS}
    per_run = {topic: total / RUNS for topic, total in shares.items()}
    assert per_run["step-journal"] > 10
    assert per_run["mcp-gateway-audit"] > 5
    assert per_run["run-state"] > 3
    assert min(per_run["conversation-event"], per_run["mcp-legacy-audit"]) > 0.3
    assert min(per_run["remediation-evidence"], per_run["approval-command"]) > 0.1


def test_records_are_keyed_as_the_topics_say(events: list[Generated]) -> None:
    for event in events:
        payload = json.loads(event.value)["data"]
        match event.topic:
            case "conversation-event":
                key = payload["run_id"] or payload["provider_event_id"]
            case "mcp-legacy-audit" | "remediation-evidence":
                key = payload["incident_id"]
            case "project":
                key = payload["project_id"]
            case "contract-revision":
                key = payload["revision_id"]
            case _:
                key = payload["run_id"]
        assert event.key == key


def test_it_comes_in_order_of_time(events: list[Generated]) -> None:
    assert all(earlier.at <= later.at for earlier, later in pairwise(events))


def test_events_differ_but_for_those_delivered_twice(events: list[Generated]) -> None:
    by_id: dict[str, set[bytes]] = {}
    for event in events:
        by_id.setdefault(json.loads(event.value)["id"], set()).add(event.value)
    assert all(len(values) == 1 for values in by_id.values())
    assert 0 < len(events) - len(by_id) < len(events) * 0.02


def test_runs_take_every_turn(events: list[Generated]) -> None:
    states = {run["state"] for run in data(events, "run-state")}
    assert states == {
        "pending",
        "running",
        "waiting_approval",
        "completed",
        "failed",
        "cancelled",
        "timed_out",
    }
    assert {one["decision"] for one in data(events, "approval-command")} == {"approve", "reject"}
    assert {call["result_status"] for call in data(events, "mcp-gateway-audit")} == {
        "success",
        "failed",
        "blocked",
    }


def test_a_decision_is_on_the_version_that_waits(events: list[Generated]) -> None:
    waiting = {
        (run["data"]["run_id"], run["entityversion"])
        for run in (json.loads(event.value) for event in events if event.topic == "run-state")
        if run["data"]["state"] == "waiting_approval"
    }
    decided = {(one["run_id"], one["run_version"]) for one in data(events, "approval-command")}
    assert decided
    assert decided <= waiting


def test_incidents_are_shared_by_several_runs(events: list[Generated]) -> None:
    runs_of: dict[str, set[str]] = {}
    for inbound in data(events, "conversation-event"):
        if inbound["source_envelope"]:
            for incident in inbound["source_envelope"]["source_refs"]["incident_ids"]:
                runs_of.setdefault(incident, set()).add(inbound["event_id"])
    assert any(len(runs) > 1 for runs in runs_of.values())


def test_memory_does_not_grow_with_the_history() -> None:
    endless = history(1, None, START)
    for _ in islice(endless, 2_000):
        pass
    tracemalloc.start()
    try:
        for _ in islice(endless, 20_000):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
