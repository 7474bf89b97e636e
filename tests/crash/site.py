"""Where the workers, the producer and the judge of one test meet."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from projector.database import connected
from projector.kafka.topics import create_topics
from projector.writing.batch import Partition
from tests.stack.waiting import until

PARTITIONS = 3
POSITIONS = "SELECT topic, partition, next_offset FROM position"
OWNED = """
    SELECT partition.topic, partition.partition
    FROM runfold.worker, json_to_recordset(partitions) AS partition (topic text, partition int)
    WHERE pid = ANY ($1)
"""
BLOCKED = """
    SELECT pid
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'runfold projector'
        AND wait_event_type = 'Lock'
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A migrated database, topics on a broker, and a directory for what workers write."""

    database_url: str
    bootstrap: str
    prefix: str
    directory: Path
    is_apache: bool

    @property
    def variables(self) -> dict[str, str]:
        return {
            "RUNFOLD_DATABASE_URL": self.database_url,
            "RUNFOLD_KAFKA_BOOTSTRAP": self.bootstrap,
            "RUNFOLD_TOPIC_PREFIX": self.prefix,
            "RUNFOLD_GROUP_ID": f"{self.prefix}workers",
            "RUNFOLD_LOG_FORMAT": "json",
            # Small polls: many transactions, many instants to crash at.
            "RUNFOLD_POLL_MAX_RECORDS": "50",
        }

    def topic(self, suffix: str) -> str:
        return topic_name(self.prefix, suffix)

    async def create_topics(self) -> None:
        settings = KafkaSettings(kafka_bootstrap=self.bootstrap, topic_prefix=self.prefix)
        await create_topics(settings, PARTITIONS)

    @asynccontextmanager
    async def views(self) -> AsyncIterator[asyncpg.Connection]:
        async with connected(self.database_url) as connection:
            await connection.execute("SET search_path = g_main; SET application_name = tests")
            yield connection

    async def positions(self) -> dict[Partition, int]:
        async with self.views() as connection:
            rows = await connection.fetch(POSITIONS)
        return {Partition(topic, number): offset for topic, number, offset in rows}

    async def owned_by(self, pids: Collection[int]) -> set[Partition]:
        """The partitions that the workers with these process ids last reported as theirs."""
        async with self.views() as connection:
            return {Partition(*row) for row in await connection.fetch(OWNED, list(pids))}

    async def advance(self, records: int, deadline_s: float) -> None:
        """Return once so many more records, of any partition, have been dealt with."""
        start = sum((await self.positions()).values())

        async def advanced() -> bool:
            return sum((await self.positions()).values()) >= start + records

        await until(advanced, deadline_s, f"{records} more records to be dealt with")

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """While the block runs a worker waits for a lock, in the middle of a transaction."""
        async with self.views() as locking, locking.transaction(), self.views() as looking:
            await locking.execute("LOCK TABLE run_fact IN SHARE MODE")
            await until(lambda: looking.fetch(BLOCKED), 60, "a worker to wait for a lock")
            yield
