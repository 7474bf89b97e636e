"""A worker that runs in the test's own loop, on a real broker and a real database."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import TopicPartition
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts.settings import variable
from contracts.topics import topic_name
from projector.kafka.publishing import HEADERS
from projector.kafka.topics import create_topics
from projector.settings import ProjectorSettings
from projector.worker import run_worker
from tests.reference import Record, load, run_list
from tests.stack import topics
from tests.stack.waiting import until

DEADLINE_S = 60
ACCOUNTED = "SELECT sum(applied + dead + tombstones)::int FROM position"
RUNS = "SELECT listing, summary FROM run ORDER BY created_at DESC, run_id DESC"
TOTALS = "SELECT sum(gaps)::int, sum(dead)::int, sum(applied)::int FROM position"


def settings_of(database_url: str, bootstrap: str, prefix: str) -> ProjectorSettings:
    """Settings of a worker with a group of its own."""
    return ProjectorSettings(
        database_url=database_url,
        kafka_bootstrap=bootstrap,
        partitions=3,
        topic_prefix=prefix,
        group_id=f"{prefix}group",
    )


def variables_of(settings: ProjectorSettings) -> dict[str, str]:
    names = ("database_url", "kafka_bootstrap", "topic_prefix", "group_id", "partitions")
    said = {variable(name): str(getattr(settings, name)) for name in names}
    return said | {"RUNFOLD_LOG_FORMAT": "json"}


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


async def produce(
    settings: ProjectorSettings, records: Iterable[Record], codec: str | None = None
) -> int:
    """Send records to their topics by key; return how many."""
    sent = [
        topics.Record(settings.topic_prefix + each.topic, key, each.value, headers=HEADERS)
        for each in records
        for key in [None if each.key is None else each.key.encode()]
    ]
    await topics.send(settings.kafka_bootstrap, sent, codec)
    return len(sent)


async def applied(connection: asyncpg.Connection, count: int) -> None:
    """Wait until the views account for this many records."""

    async def accounted() -> bool:
        return (await connection.fetchval(ACCOUNTED) or 0) >= count

    await until(accounted, DEADLINE_S, f"{count} records in the views")


class Line:
    """A worker that runs, what it was sent, and what it tells of it."""

    def __init__(
        self, settings: ProjectorSettings, views: asyncpg.Connection, spans: InMemorySpanExporter
    ) -> None:
        self.settings, self.views, self.spans = settings, views, spans
        self.sent: list[Record] = []

    async def send(self, records: Sequence[Record], codec: str | None = None) -> None:
        """Send records by key, and wait until the views account for them and all before them."""
        await produce(self.settings, records, codec)
        self.sent += records
        await applied(self.views, len(self.sent))

    async def check(self) -> None:
        """Everything sent so far is in the views or parked, and nothing twice."""
        platform = load(self.sent)
        rows = await self.views.fetch(RUNS)
        expected = run_list(platform)
        listed = [json.loads(row["listing"])["run_id"] for row in rows]
        assert listed == [run["run_id"] for run in expected]
        summaries = [json.loads(row["summary"]) for row in rows]
        assert summaries == [run["remediation_summary"] for run in expected]
        parked = Counter(
            (topic_name(self.settings.topic_prefix, it.record.topic), it.reason, it.record.value)
            for it in platform.dead
        )
        rows = await self.views.fetch("SELECT topic, reason, value FROM runfold.dead_letter")
        assert Counter(tuple(row) for row in rows) == parked
        good = sum(it.value is not None for it in self.sent) - len(platform.dead)
        totals = await self.views.fetchrow(TOTALS)
        assert tuple(totals or ()) == (0, len(platform.dead), good)

    async def positions(self) -> dict[TopicPartition, int]:
        rows = await self.views.fetch(
            "SELECT topic, partition, next_offset FROM position WHERE next_offset > 0"
        )
        return {TopicPartition(topic, number): offset for topic, number, offset in rows}
