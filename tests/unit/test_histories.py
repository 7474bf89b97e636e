"""The random histories hold every kind of event, of tie, of link and of bad record."""

from collections import Counter
from random import Random

import pytest

from tests.histories import Delivery, deliveries, history, partition_of, schedule
from tests.histories.bad import BY_REASON, KINDS, Kind
from tests.histories.world import World
from tests.reference import Platform, load, run_detail
from tests.reference.belonging import inbound_events
from tests.reference.contract import ENTITIES

ITEMS = {"run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"}
SUMMARIES = {"no_evidence", "mcp_observed", "blocked", "write_observed", "read_only_dry_run"}


def test_a_seed_tells_the_whole_history() -> None:
    assert history(7, bad=True) == history(7, bad=True)
    assert history(7) != history(8)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_of_bad_record_gets_its_reason(kind: Kind) -> None:
    record = kind.record(World.draw(Random(1)))
    assert [letter.reason for letter in load([record]).dead] == [kind.reason]


def test_bad_records_are_there_only_when_asked_for() -> None:
    reasons = Counter(
        each.reason for seed in range(40) for each in load(history(seed, bad=True)).dead
    )
    assert reasons.keys() == BY_REASON.keys()
    assert not any(load(history(seed)).dead for seed in range(40))


def test_everything_comes_up() -> None:
    found: Counter[str] = Counter()
    for seed in range(100):
        platform = load(history(seed))
        found["tombstone"] += platform.tombstones
        found["repeated"] += len(platform.events) - len({each.id for each in platform.events})
        count_ties(platform, found)
        count_views(platform, found)
    wanted = {"tombstone", "repeated", "by version", "by time", "by id", *ITEMS, *SUMMARIES}
    wanted |= {"observed", "linked by run", "linked by event", "linked by provider"}
    wanted |= {f"{topic} changed" for topic in ENTITIES} | {"run in another project"}
    assert {name for name in wanted if found[name] < 4} == set()


def count_ties(platform: Platform, found: Counter[str]) -> None:
    """What decides between the events of an entity, and what changes with them."""
    for topic, names in ENTITIES.items():
        for winner in platform.winners[topic]:
            for event in platform.events:
                same = event.topic == topic and all(event.data[n] == winner.data[n] for n in names)
                if not same or event == winner:
                    continue
                found[f"{topic} changed"] += event.data != winner.data
                if event.version != winner.version:
                    found["by version"] += 1
                else:
                    found["by id" if event.time == winner.time else "by time"] += 1
                if topic == "run-state":
                    moved = event.data["project_id"] != winner.data["project_id"]
                    found["run in another project"] += moved


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


@given(histories(bad=True), seeds)
def test_the_views_of_a_schedule_are_those_of_its_history(records: list[Record], seed: int) -> None:
    delivered = [item.record for item in deliveries(schedule(records, seed, 2))]
    assert views(load(delivered)) == views(load(records))
