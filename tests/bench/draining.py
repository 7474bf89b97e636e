"""A backlog drained by workers, or copied raw into a bare table, the floor of cost; how fast.

The floor is a process of its own, set up as a worker is: `python -m tests.bench.draining EVENTS`
prints its events per second from the first commit to the last.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import psutil
import uvloop
from aiokafka import AIOKafkaConsumer

from contracts.locks import ACTIVATION
from contracts.settings import kafka_connection, load
from contracts.topics import TOPICS, topic_name
from projector.database import connected
from projector.kafka.subscription import POLL_TIMEOUT_MS
from projector.settings import ProjectorSettings
from tests.bench.backlog import Backlog
from tests.command import environment, running
from tests.stack.waiting import until

DEADLINE_S = 600

PROGRESS = """
    SELECT sum(next_offset - first_offset)::bigint AS events, max(updated_at) AS at
    FROM g_main.position
    WHERE starts_with(topic, $1)
    HAVING sum(next_offset - first_offset) > 0
"""
ASSIGNED = "SELECT count(*) FROM runfold.worker WHERE json_array_length(partitions) > 0"
BARE = 'CREATE TABLE bare (topic text, partition int, "offset" bigint, key bytea, value bytea)'


@asynccontextmanager
async def worker(backlog: Backlog, database_url: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    with running("projector", variables=backlog.variables(database_url, "group")) as process:
        yield process
        assert process.poll() is None, "the worker has ended"
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def drain(backlog: Backlog, database_url: str, workers: int = 1) -> tuple[float, int]:
    """Have workers bring a backlog into complete views.

    Returns events per second from the first commit to the last, so that no start-up is in it, and
    the most bytes of memory that one of them held.
    """
    first: asyncpg.Record | None = None
    most = 0
    async with connected(database_url) as connection, AsyncExitStack() as stack:
        # none may commit until all have partitions, so that all begin at once
        await connection.execute("SELECT pg_advisory_lock($1)", ACTIVATION)
        working = [worker(backlog, database_url) for _ in range(workers)]
        started = [await stack.enter_async_context(each) for each in working]

        async def assigned() -> bool:
            return bool(await connection.fetchval(ASSIGNED) == workers)

        await until(assigned, 60, f"{workers} workers with partitions")
        await connection.execute("SELECT pg_advisory_unlock($1)", ACTIVATION)

        async def drained() -> asyncpg.Record | None:
            nonlocal first, most
            most = max(most, *(psutil.Process(each.pid).memory_info().rss for each in started))
            now = await connection.fetchrow(PROGRESS, backlog.prefix)
            first = first or now
            return now if now and now["events"] >= backlog.events else None

        last = await until(drained, DEADLINE_S, f"{backlog.events} events in the views")
    assert first is not None
    assert last is not None
    seconds = (last["at"] - first["at"]).total_seconds()
    return (backlog.events - first["events"]) / seconds, most


def copy_raw(backlog: Backlog, database_url: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(backlog.events)],
        env=environment(backlog.variables(database_url, "floor")),
        stdout=subprocess.PIPE,
        timeout=DEADLINE_S,
        check=True,
    )
    return float(done.stdout)


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
