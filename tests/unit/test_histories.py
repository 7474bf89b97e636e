"""The histories hold what they promise: sound events, bad ones of every kind, ties and links."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.histories import Delivery, deliveries, history, interleaved, partition_of, schedule
from tests.histories.bad import BY_REASON, KINDS, Kind
from tests.histories.strategies import histories, seeds
from tests.histories.times import IN_DATA, INSTANTS, WITH_OFFSET
from tests.histories.world import World
from tests.reference import (
    Platform,
    Record,
    approvals,
    channel_events,
    contracts,
    counts,
    load,
    projects,
    run_detail,
    run_list,
)
from tests.reference.contract import ENTITIES
from tests.reference.decoding import Event
from tests.reference.fields import timestamp
from tests.reference.plain import rfc3339

MANY = 150


def views(platform: Platform) -> dict[str, Any]:
    runs = run_list(platform)
    return {
        "runs": runs,
        "counts": counts(platform),
        "details": [run_detail(platform, row["run_id"]) for row in runs],
        "approvals": approvals(platform, include_decided=True),
        "channel_events": channel_events(platform),
        "projects": projects(platform),
        "contracts": contracts(platform),
    }


@pytest.fixture(scope="module")
def platforms() -> list[Platform]:
    return [load(history(seed)) for seed in range(MANY)]


@pytest.fixture(scope="module")
def details(platforms: list[Platform]) -> list[dict[str, Any]]:
    found = [
        run_detail(platform, row["run_id"]) for platform in platforms for row in run_list(platform)
    ]
    return [detail for detail in found if detail is not None]


def test_a_seed_tells_the_whole_history() -> None:
    assert history(7, bad=True) == history(7, bad=True)
    assert history(7) != history(8)
    assert len(history(7, 25)) == 25


def test_without_bad_records_every_value_is_an_event(platforms: list[Platform]) -> None:
    assert [letter for platform in platforms for letter in platform.dead] == []


def test_the_world_is_small(platforms: list[Platform]) -> None:
    assert max(len(platform.winners["run-state"]) for platform in platforms) == 5
    assert {len(projects(platform)) for platform in platforms} >= {2, 3}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_of_bad_record_gets_its_reason(kind: Kind) -> None:
    for seed in range(5):
        record = kind.record(World.draw(Random(seed)))
        assert [letter.reason for letter in load([record]).dead] == [kind.reason]


def test_bad_records_of_every_reason_are_a_share() -> None:
    dead = [letter.reason for seed in range(60) for letter in load(history(seed, bad=True)).dead]
    found = Counter(dead)
    assert set(found) == set(BY_REASON)
    assert 0.08 < len(dead) / (60 * 60) < 0.16
    assert found["too_large"] < len(dead) / 10


def test_an_id_is_repeated_only_by_its_own_event(platforms: list[Platform]) -> None:
    repeated = 0
    for platform in platforms:
        known: dict[str, Event] = {}
        for event in platform.events:
            assert known.setdefault(event.id, event) == event
        repeated += len(platform.events) - len(known)
    assert repeated > MANY


def test_tombstones_come_up(platforms: list[Platform]) -> None:
    assert sum(platform.tombstones for platform in platforms) > MANY / 2


def losers(platform: Platform) -> Iterator[tuple[Event, Event]]:
    """Every losing event with the winner of its entity."""
    for topic, names in ENTITIES.items():
        events = [event for event in platform.events if event.topic == topic]
        for winner in platform.winners[topic]:
            for event in events:
                if event != winner and all(event.data[n] == winner.data[n] for n in names):
                    yield event, winner


def test_winners_are_decided_by_version_by_time_and_by_id(platforms: list[Platform]) -> None:
    by: Counter[str] = Counter()
    for platform in platforms:
        for loser, winner in losers(platform):
            if loser.version != winner.version:
                by["version"] += 1
            elif loser.time != winner.time:
                by["time"] += 1
            else:
                by["id"] += 1
                by["against the alphabet"] += loser.id.casefold() > winner.id.casefold()
    assert len(by) == 4
    assert min(by.values()) > 5


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("run-state", "project_id"),
        ("run-state", "trigger_ref"),
        ("run-state", "error_detail"),
        ("run-state", "created_at"),
        ("outbound-message", "run_id"),
        ("conversation-event", "run_id"),
        ("mcp-gateway-audit", "run_id"),
        ("remediation-evidence", "incident_id"),
        ("remediation-evidence", "project_id"),
        ("mcp-legacy-audit", "incident_id"),
    ],
)
def test_entities_change_and_move(platforms: list[Platform], topic: str, name: str) -> None:
    changed = sum(
        loser.data[name] != winner.data[name]
        for platform in platforms
        for loser, winner in losers(platform)
        if loser.topic == topic
    )
    assert changed > 20


def test_every_item_and_status_comes_up(details: list[dict[str, Any]]) -> None:
    items = Counter((item["kind"], item["status"]) for told in details for item in told["timeline"])
    kinds = {"run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"}
    assert {kind for kind, _ in items} == kinds
    assert {status for kind, status in items if kind == "remediation"} == {
        "failed",
        "success",
        "warning",
    }
    summaries = Counter(told["remediation_summary"]["status"] for told in details)
    assert len(summaries) == 6
    assert min(summaries.values()) > 3
    assert any(len(told["remediation_summary"]["incident_ids"]) > 2 for told in details)
    assert any(told["counts"]["inbound_events"] > 1 for told in details)


def test_inbound_events_are_linked_in_every_way(platforms: list[Platform]) -> None:
    ways: Counter[str] = Counter()
    for platform in platforms:
        for inbound in platform.rows("conversation-event"):
            for run in platform.rows("run-state"):
                if inbound["project_id"] == run["project_id"]:
                    trigger = run["trigger_ref"] or ""
                    ways["run"] += inbound["run_id"] == run["run_id"]
                    ways["event"] += trigger == inbound["event_id"]
                    ways["event in capitals"] += trigger == inbound["event_id"].upper()
                    ways["provider"] += trigger == inbound["provider_event_id"]
    assert len(ways) == 4
    assert min(ways.values()) > 5


def test_runs_wait_and_are_decided(platforms: list[Platform]) -> None:
    rows = [row for each in platforms for row in approvals(each, include_decided=True)]
    decided = sum(row["decision"] is not None for row in rows)
    assert 5 < decided < len(rows) - 5


def test_every_spelling_of_an_instant_means_it() -> None:
    for instant, with_offset, in_data in zip(INSTANTS, WITH_OFFSET, IN_DATA, strict=True):
        assert {rfc3339(timestamp(text)) for text in with_offset + in_data} == {rfc3339(instant)}


def test_partitions_are_of_the_key_alone() -> None:
    keys = [str(number) for number in range(100)]
    lots = [partition_of(Record("run-state", key, None), 4) for key in keys]
    assert lots == [partition_of(Record("project", key, b""), 4) for key in keys]
    assert set(lots) == {0, 1, 2, 3}
    assert partition_of(Record("run-state", None, None), 4) < 4


def by_partition(found: list[Delivery]) -> dict[tuple[str, int], list[int]]:
    lots: dict[tuple[str, int], list[int]] = {}
    for delivery in found:
        lots.setdefault((delivery.topic, delivery.partition), []).append(delivery.offset)
    return lots


@given(histories(bad=True), seeds, st.integers(1, 3))
def test_a_schedule_delivers_partitions_whole_and_in_order(
    records: list[Record], seed: int, workers: int
) -> None:
    polls = schedule(records, seed, workers)
    assert len(polls) == workers
    for offsets in by_partition(deliveries(polls)).values():
        assert offsets == list(range(len(offsets)))
    owned = [set(by_partition([item for poll in own for item in poll])) for own in polls]
    assert sum(len(lots) for lots in owned) == len(set().union(*owned))
    given_out = Counter(delivery.record for delivery in deliveries(polls))
    assert set(given_out) == set(records)
    assert all(given_out[record] >= count for record, count in Counter(records).items())
    assert all(poll for own in polls for poll in own)


@given(histories(), seeds, seeds)
def test_interleaving_keeps_each_workers_order(
    records: list[Record], seed: int, turns: int
) -> None:
    polls = schedule(records, seed, 3)
    sequence = interleaved(polls, turns)
    for worker, own in enumerate(polls):
        assert [poll for turn, poll in sequence if turn == worker] == own


@given(histories(bad=True), seeds)
def test_the_views_of_a_schedule_are_those_of_its_history(records: list[Record], seed: int) -> None:
    delivered = [item.record for item in deliveries(schedule(records, seed, 2))]
    assert views(load(delivered)) == views(load(records))
