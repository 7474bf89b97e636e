"""The floor of cost: records consumed as a worker does and copied raw into a bare table.

A process of its own, set up as a worker is: `python -m tests.bench.floor EVENTS` prints events per
second from the first commit to the last.
"""

import sys
import time

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer

from contracts.settings import kafka_connection, load
from contracts.topics import TOPICS, topic_name
from projector.kafka.subscription import POLL_TIMEOUT_MS
from projector.settings import ProjectorSettings

BARE = 'CREATE TABLE bare (topic text, partition int, "offset" bigint, key bytea, value bytea)'


async def floor(settings: ProjectorSettings, events: int) -> float:
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute(BARE)
    consumer = AIOKafkaConsumer(
        *(topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS),
        **kafka_connection(settings),
        group_id=settings.group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_bytes=settings.poll_max_bytes,
        max_partition_fetch_bytes=max(65_536, settings.poll_max_bytes // 32),
        fetch_max_wait_ms=100,
    )
    most, first, done = settings.poll_max_records, 0, 0
    began = 0.0
    async with consumer:
        while done < events:
            polled = await consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=most)
            rows = [
                (record.topic, record.partition, record.offset, record.key, record.value)
                for records in polled.values()
                for record in records
            ]
            if not rows:
                continue
            await connection.copy_records_to_table("bare", records=rows)
            done += len(rows)
            if not first:
                first, began = done, time.monotonic()
        seconds = time.monotonic() - began
    await connection.close()
    return (done - first) / seconds


if __name__ == "__main__":
    print(uvloop.run(floor(load(ProjectorSettings), int(sys.argv[1]))))
