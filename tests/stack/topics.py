"""Topics made, filled and read to their end, for tests."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
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


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_topic(
    bootstrap: str, name: str, partitions: int = 1, configs: dict[str, str] | None = None
) -> None:
    """One topic; RuntimeError with the broker's reason when it refuses."""
    async with _admin(bootstrap) as admin:
        answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
    for topic, code, reason in answer.topic_errors:
        if code != 0:
            raise RuntimeError(f"{topic} was not created: {reason or code}")


async def delete_topic(bootstrap: str, name: str) -> None:
    """Delete a topic, and return once it is gone."""
    async with _admin(bootstrap) as admin:
        await admin.delete_topics([name])

        async def is_gone() -> bool:
            return name not in await admin.list_topics()

        await until(is_gone, 30, f"{name} to be gone")


async def send(bootstrap: str, records: Iterable[Record], codec: str | None = None) -> list[int]:
    """Send the records, as few batches as the producer likes; their offsets, in order."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        linger_ms=5,
        max_request_size=_MAX_REQUEST_BYTES,
        compression_type=codec,
    ) as producer:
        sent = [
            await producer.send(
                it.topic, it.value, key=it.key, partition=it.partition, headers=[*it.headers]
            )
            for it in records
        ]
        return [(await acknowledged).offset for acknowledged in sent]


async def read(bootstrap: str, topic: str, partition: int, end: int) -> list[ConsumerRecord]:
    """The partition's records from its first up to position `end`, waited for if need be."""
    here, records = TopicPartition(topic, partition), list[ConsumerRecord]()
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        consumer.assign([here])
        while await consumer.position(here) < end:
            records += (await consumer.getmany(here, timeout_ms=1000)).get(here, [])
        return records


async def delete_records(bootstrap: str, topic: str, partition: int, before: int) -> None:
    """Have the broker drop a partition's records before an offset, as retention does."""
    async with _admin(bootstrap) as admin:
        here = TopicPartition(topic, partition)
        await admin.delete_records({here: RecordsToDelete(before_offset=before)})
