"""Topics on a broker: the missing ones are made, the others looked at, and how far they reach."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from contracts.errors import OperationError
from contracts.settings import KafkaSettings
from contracts.topics import TOPICS, topic_name
from projector.demo.broker import EmbeddedBroker
from projector.jsonl import Record
from projector.kafka.log_reader import log_reader, topic_by_topic
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import TopicState, create_topics, partition_counts
from projector.operations.status import broker_ends
from tests.stack.topics import create_topic

PARTITIONS = 3
AWAY = KafkaSettings(kafka_bootstrap="127.0.0.1:1", topic_prefix="x.")


@pytest.fixture
def ours(broker: EmbeddedBroker, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=broker.bootstrap, topic_prefix=topic_prefix)


async def test_missing_topics_are_made_also_by_two_at_once_and_then_are_there(
    bootstrap: str, topic_prefix: str
) -> None:
    ours = KafkaSettings(kafka_bootstrap=bootstrap, topic_prefix=topic_prefix)
    assert await broker_ends(ours) == {}
    names = [topic_name(topic_prefix, topic.suffix) for topic in TOPICS]
    both = await asyncio.gather(*(create_topics(ours, PARTITIONS) for _ in range(2)))
    for reports in zip(*both, strict=True):
        states = {report.state for report in reports}
        assert TopicState.CREATED in states
        assert TopicState.DIFFERS not in states
    again = await create_topics(ours, PARTITIONS)
    assert [(it.name, it.state) for it in again] == [(n, TopicState.EXISTS) for n in names]
    counts = await partition_counts(ours)
    assert {counts[name] for name in names} == {PARTITIONS}
    # One at a time: after a batch of several the embedded broker calls the end too low.
    for number in range(3):
        await publish(ours, paced([Record(number, "project", b"p", b"{}")], None), "record")
    ends = await broker_ends(ours)
    assert ends.keys() == {(name, n) for name in names for n in range(PARTITIONS)}
    assert [end for end in ends.values() if end] == [3]


async def test_a_topic_that_differs_is_named_and_left_alone(ours: KafkaSettings) -> None:
    name = f"{ours.topic_prefix}project"
    configs = {"cleanup.policy": "delete", "retention.ms": "-1"}
    await create_topic(ours.kafka_bootstrap, name, 1, configs)
    reports = await create_topics(ours, PARTITIONS)
    (differing,) = (report for report in reports if report.state is TopicState.DIFFERS)
    assert differing.name == name
    partitions, policy = differing.differences[:2]
    assert "1 partitions" in partitions
    assert "cleanup.policy" in policy
    assert (await partition_counts(ours))[name] == 1


async def test_a_broker_that_stays_away_is_named() -> None:
    with pytest.raises(OperationError, match=r"127\.0\.0\.1:1"):
        await create_topics(AWAY, 1, wait_seconds=0.5)
    with pytest.raises(KafkaError):
        async with log_reader(AWAY, "test"):
            pass


async def test_a_reader_that_is_asked_for_nothing_ends_without_a_fault(
    ours: KafkaSettings,
) -> None:
    async with log_reader(ours, "test") as kafka:
        assert not kafka.assignment()


async def test_all_topics_are_asked_at_once_and_nothing_goes_on_when_one_fails() -> None:
    wanted = [TopicPartition(name, number) for name in ("one", "two") for number in range(3)]
    asked: list[set[str]] = []
    ended = asyncio.Event()

    async def ask(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        asked.append({each.topic for each in partitions})
        return {each: each.partition for each in partitions}

    async def ask_in_vain(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if partitions[0].topic == "two":
            raise TopicAuthorizationFailedError("refused")
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    assert await topic_by_topic(ask, wanted) == {each: each.partition for each in wanted}
    assert asked == [{"one"}, {"two"}]
    with pytest.raises(TopicAuthorizationFailedError):
        await topic_by_topic(ask_in_vain, wanted)
    assert ended.is_set()
