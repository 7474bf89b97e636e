"""A worker's memory has a bound, whatever waits for it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice

import asyncpg
import psutil
import pytest

from projector.demo.history import history
from projector.jsonl import Record
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import create_topics
from tests.command import running
from tests.live import settings_of
from tests.stack.servers import EmbeddedBroker
from tests.stack.waiting import until

BACKLOG = 500_000
ENOUGH = 120_000
"""Events after which a worker has long held as much at once as it ever will."""
BOUND_BYTES = 300 * 1_000_000


def backlog() -> Iterator[Record]:
    events = islice(history(3, None, datetime(2026, 5, 18, tzinfo=UTC)), BACKLOG)
    for number, event in zip(count(1), events, strict=False):
        yield Record(number, event.topic, event.key.encode(), event.value)


@pytest.mark.crash
@pytest.mark.timeout(600)
async def test_a_backlog_of_half_a_million_events_fits_into_300_megabytes(
    database_url: str, broker: EmbeddedBroker, topic_prefix: str
) -> None:
    settings = settings_of(database_url, broker.bootstrap, topic_prefix)
    await create_topics(settings, settings.partitions)
    sent = await publish(settings, paced(backlog(), None), "event")
    assert sent.total() == BACKLOG
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    variables = {
        "RUNFOLD_DATABASE_URL": database_url,
        "RUNFOLD_KAFKA_BOOTSTRAP": broker.bootstrap,
        "RUNFOLD_TOPIC_PREFIX": topic_prefix,
        "RUNFOLD_GROUP_ID": settings.group_id,
    }
    most = 0
    with running("projector", variables=variables) as worker:
        process = psutil.Process(worker.pid)

        async def read_enough() -> bool:
            nonlocal most
            most = max(most, process.memory_info().rss)
            assert worker.poll() is None
            applied = await connection.fetchval("SELECT sum(applied)::bigint FROM position")
            return (applied or 0) >= ENOUGH

        await until(read_enough, 300, f"{ENOUGH} events in the views")
        worker.terminate()
        await asyncio.to_thread(worker.wait, 30)
    await connection.close()
    assert most < BOUND_BYTES, f"{most / 1e6:.0f} MB resident"
    print(f"\nworker's memory: at most {most / 1e6:.0f} MB resident")
