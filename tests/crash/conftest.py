"""Servers that may be killed, and sites on them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from projector.demo.broker import EmbeddedBroker
from projector.migrate import migrate
from tests.crash.site import Site
from tests.kafka.server import KafkaServer
from tests.stack import databases
from tests.stack.group import member
from tests.stack.servers import EmbeddedPostgres


@pytest.fixture(scope="package")
def mortal_postgres() -> Iterator[EmbeddedPostgres]:
    """A durable PostgreSQL to be stopped and killed; whoever does brings it back."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture
async def mortal_database(mortal_postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A fresh, migrated database on it."""
    name = f"crash_{uuid4().hex}"
    await databases.create_database(mortal_postgres.url, name)
    await asyncio.to_thread(migrate, mortal_postgres.url_of(name))
    yield mortal_postgres.url_of(name)
    await databases.drop_database(mortal_postgres.url, name)


@pytest.fixture
async def embedded_site(
    mortal_database: str, broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path
) -> Site:
    """A site on the embedded broker."""
    site = Site(mortal_database, broker.bootstrap, topic_prefix, tmp_path)
    await site.create_topics()
    return site


@pytest.fixture
async def kafka_site(
    mortal_database: str, kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> Site:
    """A site on an Apache Kafka that can be stopped and killed."""
    site = Site(mortal_database, kafka.bootstrap, topic_prefix, tmp_path)
    await site.create_topics()
    # A broker's first group waits until there is a topic for offsets: no outage, but told as one.
    async with member(kafka.bootstrap, site.topic("project"), f"{topic_prefix}first"):
        return site
