"""A worker that runs in the test's own loop, on a real broker and a real database."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg

from projector.kafka.publishing import HEADERS
from projector.kafka.topics import create_topics
from projector.settings import ProjectorSettings
from projector.worker import run_worker
from tests.reference import Record
from tests.stack import topics
from tests.stack.waiting import until

DEADLINE_S = 60


def settings_of(database_url: str, bootstrap: str, prefix: str) -> ProjectorSettings:
    """Settings of a worker with a group of its own."""
    return ProjectorSettings(
        database_url=database_url,
        kafka_bootstrap=bootstrap,
        topic_prefix=prefix,
        group_id=f"{prefix}group",
        partitions=3,
    )


@asynccontextmanager
async def running_worker(settings: ProjectorSettings) -> AsyncIterator[None]:
    """A worker for as long as the block runs; what ended it early is raised."""
    await create_topics(settings, settings.partitions)
    stopping = asyncio.Event()
    worker = asyncio.create_task(run_worker(settings, stopping))
    try:
        yield
    finally:
        stopping.set()
        await worker


async def produce(settings: ProjectorSettings, records: Iterable[Record]) -> int:
    """Send records to their topics by key; return how many."""
    sent = [
        topics.Record(
            settings.topic_prefix + record.topic,
            None if record.key is None else record.key.encode(),
            record.value,
            headers=HEADERS,
        )
        for record in records
    ]
    await topics.send(settings.kafka_bootstrap, sent)
    return len(sent)


async def applied(connection: asyncpg.Connection, count: int) -> None:
    """Wait until the views account for this many records."""

    async def accounted() -> bool:
        total = await connection.fetchval(
            "SELECT sum(applied + dead + tombstones)::int FROM position"
        )
        return (total or 0) >= count

    await until(accounted, DEADLINE_S, f"{count} records in the views")
