"""How old a partition's view is, from what the broker and the records say."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition
from prometheus_client import generate_latest

from contracts.health import Outage
from projector.operations.metrics import Metrics
from projector.writing.batch import Partition
from tests.records import FakeRecord
from tests.scraping import Scrape

HERE = Partition("t", 0)
THERE = Partition("t", 1)
NOW = 1_000_000.0


@dataclass
class Kafka:
    """What a worker's client knows of its partitions: (end, seconds since it was told)."""

    known: dict[Partition, tuple[int | None, float]] = field(default_factory=dict)

    def assignment(self) -> set[Any]:
        return {TopicPartition(*each) for each in self.known}

    def highwater(self, at: Any) -> int | None:
        return self.known[Partition(*at)][0]

    def last_poll_timestamp(self, at: Any) -> int:
        return int((NOW - self.known[Partition(*at)][1]) * 1000)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.setattr(time, "time", lambda: NOW)
    return Metrics(Outage("database"))


def seen(metrics: Metrics) -> Scrape:
    return Scrape(generate_latest(metrics.registry).decode())


def polled(partition: Partition, *ages: float) -> list[FakeRecord]:
    return [
        FakeRecord(*partition, offset, timestamp=int((NOW - age) * 1000))
        for offset, age in enumerate(ages)
    ]


@pytest.mark.parametrize(
    ("position", "known", "ages", "lag"),
    [
        # caught up: as old as the broker's last answer
        (5, (5, 0.2), (), ([0], [0.2])),
        # caught up, and the broker has not answered since: nobody knows what came after
        (5, (5, 90.0), (7.0,), ([0], [7.0])),
        # behind, and working: what was written last is where the view is
        (5, (9, 0.2), (40.0, 30.0), ([4], [30.0])),
        # behind, and nothing written since it was assigned, just now
        (5, (9, 0.2), (), ([4], [0.0])),
        # the broker's word is older than what was read
        (12, (9, 0.2), (), ([0], [0.2])),
        # nothing was ever heard of the partition's end
        (5, (None, 0.0), (), ([], [])),
    ],
)
def test_the_age_of_a_view(
    metrics: Metrics,
    position: int,
    known: tuple[int | None, float],
    ages: tuple[float, ...],
    lag: tuple[list[int], list[float]],
) -> None:
    events, seconds = lag
    if ages:
        metrics.polled(polled(HERE, *ages), 0.1)
    metrics.assess(Kafka({HERE: known}), {HERE: position})
    told = seen(metrics)
    assert told.each("runfold_partition_lag_events") == events
    assert told.each("runfold_partition_lag_seconds") == pytest.approx(seconds)


def test_a_partition_that_was_given_up_is_forgotten(metrics: Metrics) -> None:
    both = Kafka({HERE: (1, 0), THERE: (9, 0)})
    metrics.polled(polled(THERE, 5.0), 0.1)
    metrics.assess(both, {HERE: 1, THERE: 1})
    assert len(seen(metrics).each("runfold_partition_lag_events")) == 2
    metrics.assess(Kafka({HERE: (1, 0)}), {HERE: 1})
    assert seen(metrics).each("runfold_partition_lag_events", partition="1") == []
    # taken over again, it is not as old as what was read of it long ago
    metrics.assess(both, {HERE: 1, THERE: 1})
    assert seen(metrics).each("runfold_partition_lag_seconds", partition="1") == [0]


def test_a_partition_of_which_nothing_is_written_grows_old(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    for passed in (0.0, 100.0):
        monkeypatch.setattr(time, "time", lambda passed=passed: NOW + passed)
        metrics.assess(Kafka({HERE: (9, 0.2)}), {HERE: 5})
        assert seen(metrics).each("runfold_partition_lag_seconds") == [passed]


def test_freshness_is_of_the_first_record_of_each_partition(metrics: Metrics) -> None:
    metrics.polled([*polled(HERE, 9.0, 1.0), *polled(THERE, 4.0)], 0.5)
    told = seen(metrics)
    assert told.total("runfold_freshness_seconds_sum") == pytest.approx(13)
    assert told.total("runfold_freshness_seconds_count") == 2
    assert told.total("runfold_poll_records_sum") == 3
