"""What lag tools see: the offsets of the group at Kafka."""

from collections.abc import Iterable
from typing import TypeAlias

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from projector.writing.batch import Partition
from tests.histories import history
from tests.live import applied, produce, running_worker, settings_of
from tests.reference import Record
from tests.stack.waiting import until
from tests.unit.event_samples import as_bytes, least

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


async def test_they_follow_a_worker_that_has_nothing_more_to_do(
    database_url: str, bootstrap: str, topic_prefix: str
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    projects = [
        Record("project", f"p{n}", as_bytes(least("project", project_id=f"p{n}"))) for n in range(3)
    ]
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    try:
        async with running_worker(settings):
            for count, record in enumerate(projects, start=1):
                await produce(settings, [record])
                await applied(connection, count)
            rows = await connection.fetch("SELECT topic, partition, next_offset FROM position")
            stored = {Partition(r["topic"], r["partition"]): r["next_offset"] for r in rows}
            moved = {at: end for at, end in stored.items() if end}

            async def told() -> bool:
                return await committed(bootstrap, settings.group_id, moved) == moved

            await until(told, 30, "the last positions at Kafka")
    finally:
        await connection.close()


async def committed(bootstrap: str, group: str, partitions: Iterable[Partition]) -> Offsets:
    kafka = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await kafka.start()
    try:
        return {each: await kafka.committed(TopicPartition(*each)) for each in partitions}
    finally:
        await kafka.stop()
