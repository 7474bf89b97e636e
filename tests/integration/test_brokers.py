"""What both brokers do alike, and where they differ.

The differences are asserted from both sides: should the embedded broker learn one of them, the
list in its module is out of date and a test says so.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    CommitFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
)

from projector.demo.broker import EmbeddedBroker
from tests.stack.group import member, member_process, partitions_of
from tests.stack.topics import Record, create_topic, read, send
from tests.stack.waiting import until

MIB = 1_048_576
ALL = set(range(6))


@pytest.fixture
async def topic(bootstrap: str, topic_prefix: str) -> str:
    """A topic of six partitions on either broker."""
    name = f"{topic_prefix}topic"
    await create_topic(bootstrap, name, partitions=6, configs={"max.message.bytes": str(4 * MIB)})
    return name


async def test_a_topic_has_the_partitions_and_configuration_asked_for(
    bootstrap: str, topic_prefix: str
) -> None:
    name = f"{topic_prefix}configured"
    await create_topic(bootstrap, name, 3, {"retention.ms": "-1", "cleanup.policy": "compact"})
    async with _admin(bootstrap) as admin:
        [described] = await admin.describe_topics([name])
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    assert sorted(partition["partition"] for partition in described["partitions"]) == [0, 1, 2]
    configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert configs["retention.ms"] == "-1"
    assert configs["cleanup.policy"] == "compact"


async def test_a_topic_is_not_created_twice(bootstrap: str, topic: str) -> None:
    with pytest.raises(RuntimeError, match="already exists"):
        await create_topic(bootstrap, topic)


async def test_a_record_keeps_key_value_headers_and_time(bootstrap: str, topic: str) -> None:
    sent = [
        Record(topic, b"k", b"v", 2, [("content-type", b"x"), ("empty", b"")], 1_700_000_000_000),
        Record(topic, b"k", None, 2),
        Record(topic, None, b"", 2),
    ]
    assert await send(bootstrap, sent) == [0, 1, 2]
    first, tombstone, keyless = await read(bootstrap, topic, 2, end=3)
    assert (first.key, first.value, first.timestamp) == (b"k", b"v", 1_700_000_000_000)
    assert first.headers == (("content-type", b"x"), ("empty", b""))
    assert (tombstone.key, tombstone.value) == (b"k", None)
    assert (keyless.key, keyless.value) == (None, b"")


async def test_a_value_over_one_mebibyte_is_carried(bootstrap: str, topic: str) -> None:
    value = b"x" * (MIB + 100_000)
    await send(bootstrap, [Record(topic, b"before", b"1", 0), Record(topic, b"big", value, 0)])
    await send(bootstrap, [Record(topic, b"after", b"2", 0)])
    read_back = await read(bootstrap, topic, 0, end=3)
    assert [len(record.value) for record in read_back] == [1, len(value), 1]


async def test_the_high_watermark_of_a_fetch_is_the_end(bootstrap: str, topic: str) -> None:
    await send(bootstrap, [Record(topic, b"k", b"v", 0) for _ in range(50)])
    async with _consumer(bootstrap) as consumer:
        here = TopicPartition(topic, 0)
        consumer.assign([here])
        consumer.seek(here, 0)
        await consumer.getone(here)
        assert consumer.highwater(here) == 50


async def test_partitions_are_shared_and_taken_over_from_a_member_that_leaves(
    bootstrap: str, topic: str, topic_prefix: str
) -> None:
    async with member(bootstrap, topic, topic_prefix) as first:
        await _owns(first, 6)
        async with member(bootstrap, topic, topic_prefix) as second:
            await _owns(first, 3)
            await _owns(second, 3)
            assert partitions_of(first) | partitions_of(second) == ALL
        await _owns(first, 6)


async def test_partitions_are_taken_over_from_a_member_that_is_killed(
    bootstrap: str, topic: str, topic_prefix: str
) -> None:
    async with member(bootstrap, topic, topic_prefix) as survivor:
        with member_process(bootstrap, topic, topic_prefix) as victim:
            await _owns(survivor, 3)
            victim.kill()
            await _owns(survivor, 6)


async def test_a_committed_offset_is_kept(bootstrap: str, topic: str, topic_prefix: str) -> None:
    here = TopicPartition(topic, 1)
    async with member(bootstrap, topic, topic_prefix) as before:
        assert await before.committed(here) is None
        await before.commit({here: 7})
    async with member(bootstrap, topic, topic_prefix) as after:
        assert await after.committed(here) == 7


async def test_a_member_of_an_older_generation_cannot_commit(
    bootstrap: str, topic: str, topic_prefix: str
) -> None:
    async with member(bootstrap, topic, topic_prefix) as zombie:
        # A real zombie is a process that was stopped; claiming the old generation is the same
        # request without the wait.
        coordinator = zombie._coordinator
        stale = coordinator.generation
        async with member(bootstrap, topic, topic_prefix) as second:
            await _owns(zombie, 3)
            await _owns(second, 3)
            assert coordinator.generation > stale
            # A partition it still has, or the client would refuse before the broker can.
            owned = TopicPartition(topic, min(partitions_of(zombie)))
            coordinator.generation = stale
            with pytest.raises(CommitFailedError):
                await zombie.commit({owned: 1})


async def _owns(consumer: AIOKafkaConsumer, partitions: int) -> None:
    async def owned() -> bool:
        await consumer.getmany(timeout_ms=20)
        return len(partitions_of(consumer)) == partitions

    await until(owned, 30, f"a member to own {partitions} partitions")


async def test_embedded_latest_lies_low_by_the_last_batch(
    broker: EmbeddedBroker, topic_prefix: str
) -> None:
    name = f"{topic_prefix}low"
    await create_topic(broker.bootstrap, name)
    await send(broker.bootstrap, [Record(name, None, b"v", 0) for _ in range(50)])
    assert await _latest(broker.bootstrap, name) < 50


async def test_embedded_has_no_idempotent_producer(broker: EmbeddedBroker) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True)
    try:
        with pytest.raises(KafkaError):
            await producer.start()
    finally:
        await producer.stop()


async def test_embedded_makes_a_topic_that_is_asked_for(
    broker: EmbeddedBroker, topic_prefix: str
) -> None:
    name = f"{topic_prefix}none"
    assert name in await _topics_after_asking(broker.bootstrap, name)


async def test_embedded_enforces_no_size(broker: EmbeddedBroker, topic_prefix: str) -> None:
    name = f"{topic_prefix}small"
    await create_topic(broker.bootstrap, name, configs={"max.message.bytes": "1000"})
    assert await send(broker.bootstrap, [Record(name, None, b"x" * 5000)]) == [0]


async def test_embedded_waits_beyond_the_end(broker: EmbeddedBroker, topic_prefix: str) -> None:
    name = f"{topic_prefix}short"
    await create_topic(broker.bootstrap, name)
    await send(broker.bootstrap, [Record(name, None, b"v")])
    assert await _poll_at(broker.bootstrap, name, 1000) == []


@pytest.mark.kafka
async def test_kafka_tells_the_exact_latest(kafka_bootstrap: str, topic_prefix: str) -> None:
    name = f"{topic_prefix}exact"
    await create_topic(kafka_bootstrap, name)
    await send(kafka_bootstrap, [Record(name, None, b"v", 0) for _ in range(50)])
    assert await _latest(kafka_bootstrap, name) == 50


@pytest.mark.kafka
async def test_kafka_commits_a_transaction(kafka_bootstrap: str, topic_prefix: str) -> None:
    name = f"{topic_prefix}transaction"
    await create_topic(kafka_bootstrap, name)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=name)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(name, b"v")
    finally:
        await producer.stop()
    # The commit marker takes an offset too: a gap that no record will ever fill.
    assert await _latest(kafka_bootstrap, name) == 2


@pytest.mark.kafka
async def test_kafka_makes_no_topic_by_itself(kafka_bootstrap: str, topic_prefix: str) -> None:
    name = f"{topic_prefix}none"
    assert name not in await _topics_after_asking(kafka_bootstrap, name)


@pytest.mark.kafka
async def test_kafka_refuses_a_batch_over_the_topics_size(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    name = f"{topic_prefix}small"
    await create_topic(kafka_bootstrap, name, configs={"max.message.bytes": "1000"})
    with pytest.raises(MessageSizeTooLargeError):
        await send(kafka_bootstrap, [Record(name, None, b"x" * 5000)])


@pytest.mark.kafka
async def test_kafka_refuses_a_fetch_beyond_the_end(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    name = f"{topic_prefix}short"
    await create_topic(kafka_bootstrap, name)
    await send(kafka_bootstrap, [Record(name, None, b"v")])
    with pytest.raises(OffsetOutOfRangeError):
        await _poll_at(kafka_bootstrap, name, 1000)


async def _latest(bootstrap: str, topic: str) -> int:
    async with _consumer(bootstrap) as consumer:
        here = TopicPartition(topic, 0)
        return int((await consumer.end_offsets([here]))[here])


async def _poll_at(bootstrap: str, topic: str, offset: int) -> list[bytes | None]:
    async with _consumer(bootstrap) as consumer:
        here = TopicPartition(topic, 0)
        consumer.assign([here])
        consumer.seek(here, offset)
        polled = await consumer.getmany(timeout_ms=1000)
        return [record.value for records in polled.values() for record in records]


@asynccontextmanager
async def _consumer(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _topics_after_asking(bootstrap: str, name: str) -> set[str]:
    async with _admin(bootstrap) as admin:
        await admin.describe_topics([name])
        return set(await admin.list_topics())


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
