"""What is asked of a broker besides polls: topics, their ends, and records on their way to them."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from contracts.envelope import CONTENT_TYPE
from contracts.errors import OperationError
from contracts.settings import KafkaSettings
from contracts.topics import MAX_MESSAGE_BYTES, TOPICS, topic_name
from projector.jsonl import Record
from projector.kafka.log_reader import log_reader
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import TopicState, create_topics, partition_counts
from projector.operations.status import broker_ends
from tests.stack.servers import EmbeddedBroker
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
    # One at a time: after a batch of several the embedded broker calls the end too low.
    for number in range(3):
        await publish(ours, paced([Record(number, "project", b"p", b"{}")], None), "record")
    ends = await broker_ends(ours)
    assert ends.keys() == {(name, n) for name in names for n in range(PARTITIONS)}
    assert [end for end in ends.values() if end] == [3]


async def test_a_topic_that_differs_is_named_and_left_alone(ours: KafkaSettings) -> None:
    name = f"{ours.topic_prefix}project"
    await create_topic(ours.kafka_bootstrap, name, 1, {"cleanup.policy": "delete"})
    reports = await create_topics(ours, PARTITIONS)
    (differing,) = (report for report in reports if report.state is TopicState.DIFFERS)
    assert differing.name == name
    assert "1 partitions" in differing.differences[0]
    assert "cleanup.policy" in differing.differences[1]
    assert (await partition_counts(ours))[name] == 1


async def test_a_broker_that_stays_away_is_named() -> None:
    with pytest.raises(OperationError, match=r"127\.0\.0\.1:1"):
        await create_topics(AWAY, 1, wait_seconds=0.5)
    with pytest.raises(KafkaError):
        async with log_reader(AWAY, "test"):
            pass


async def test_records_arrive_by_key_as_they_are_and_no_faster_than_asked_or_are_named(
    ours: KafkaSettings,
) -> None:
    await create_topics(ours, PARTITIONS)
    value = '{"n": 0.10, "text": "金流"}'.encode()
    records = [Record(n, "project", b"key-%d" % (n % 4), value) for n in range(1, 201)]
    records += [Record(201, "project", b"key-1", None), Record(202, "run-state", None, b"{}")]
    began = time.monotonic()
    sent = await publish(ours, paced(records, 1_000), "line")
    assert time.monotonic() - began >= 0.2
    assert sent == {"project": 201, "run-state": 1}

    places: dict[bytes, set[int]] = {}
    how = {"bootstrap_servers": ours.kafka_bootstrap, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(f"{ours.topic_prefix}project", **how) as consumer:
        for _ in range(201):
            found = await consumer.getone()
            places.setdefault(found.key, set()).add(found.partition)
            assert found.value in {value, None}
            assert dict(found.headers) == {"content-type": CONTENT_TYPE.encode()}
    assert places.keys() == {b"key-0", b"key-1", b"key-2", b"key-3"}
    assert all(len(partitions) == 1 for partitions in places.values())

    large = b'{"x":"' + b"x" * MAX_MESSAGE_BYTES + b'"}'
    some = paced([records[0], Record(7, "project", b"p", large)], None)
    with pytest.raises(OperationError, match=r"history\.jsonl, line 7: "):
        await publish(ours, some, "history.jsonl, line")
