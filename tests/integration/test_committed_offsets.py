"""What lag tools see: the offsets of the group at Kafka, after the worker has ended."""

from collections.abc import Iterable
from typing import TypeAlias

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from projector.batch import Partition
from tests.histories import history
from tests.live import applied, produce, running_worker, settings_of

Offsets: TypeAlias = dict[Partition, int]


async def test_they_are_the_positions_in_the_database(
    database_url: str, bootstrap: str, topic_prefix: str
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    try:
        async with running_worker(settings):
            await applied(connection, await produce(settings, history(13, size=100)))
        rows = await connection.fetch("SELECT topic, partition, next_offset FROM position")
    finally:
        await connection.close()
    stored = {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    assert any(stored.values())
    assert await committed(bootstrap, settings.group_id, stored) == stored


async def committed(bootstrap: str, group: str, partitions: Iterable[Partition]) -> Offsets:
    kafka = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await kafka.start()
    try:
        return {each: await kafka.committed(TopicPartition(*each)) for each in partitions}
    finally:
        await kafka.stop()
