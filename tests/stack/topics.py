"""Topics made, filled and read to their end, for tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from tests.stack.waiting import until

_MAX_REQUEST_BYTES = 32 * 1_048_576


@dataclass(frozen=True, slots=True)
class Record:
    """What a producer sends; no value is a tombstone, no partition lets the key decide."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int | None = None


async def create_topic(
    bootstrap: str, name: str, partitions: int = 1, configs: dict[str, str] | None = None
) -> None:
    """One topic; RuntimeError with the broker's reason when it refuses."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        for topic, code, reason in answer.topic_errors:
            if code != 0:
                raise RuntimeError(f"{topic} was not created: {reason or code}")
    finally:
        await admin.close()


async def delete_topic(bootstrap: str, name: str) -> None:
    """Delete a topic, and return once it is gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name])

        async def is_gone() -> bool:
            return name not in await admin.list_topics()

        await until(is_gone, 30, f"{name} to be gone")
    finally:
        await admin.close()


async def send(bootstrap: str, records: Iterable[Record], codec: str | None = None) -> list[int]:
    """Send the records, as few batches as the producer likes; their offsets, in order."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        linger_ms=5,
        max_request_size=_MAX_REQUEST_BYTES,
        compression_type=codec,
    )
    await producer.start()
    try:
        sent = [
            await producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
                timestamp_ms=record.timestamp_ms,
            )
            for record in records
        ]
        return [(await acknowledged).offset for acknowledged in sent]
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str, partition: int, end: int) -> list[ConsumerRecord]:
    """The partition's records from its first up to position `end`, waited for if need be."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        here = TopicPartition(topic, partition)
        consumer.assign([here])
        records: list[ConsumerRecord] = []
        while await consumer.position(here) < end:
            polled = await consumer.getmany(here, timeout_ms=1000)
            records += polled.get(here, [])
        return records
    finally:
        await consumer.stop()


async def delete_records(bootstrap: str, topic: str, partition: int, before: int) -> None:
    """Have the broker drop a partition's records before an offset, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        here = TopicPartition(topic, partition)
        await admin.delete_records({here: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()
