"""Servers that may be killed, and sites on them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from projector.migrate import migrate
from tests.crash.site import Site
from tests.kafka.server import KafkaServer
from tests.stack import databases
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres


@pytest.fixture(scope="package")
def mortal_postgres() -> Iterator[EmbeddedPostgres]:
    """A durable PostgreSQL to be stopped and killed; whoever does brings it back."""
    with EmbeddedPostgres() as server:
        asyncio.run(databases.create_database(server.url, databases.TEMPLATE))
        migrate(server.url_of(databases.TEMPLATE))
        asyncio.run(databases.close_template(server.url, databases.TEMPLATE))
        yield server


@pytest.fixture
async def database_url(mortal_postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    name = f"crash_{uuid4().hex}"
    await databases.clone_database(mortal_postgres.url, databases.TEMPLATE, name)
    yield mortal_postgres.url_of(name)
    await databases.drop_database(mortal_postgres.url, name)


@pytest.fixture
async def embedded_site(
    database_url: str, broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path
) -> Site:
    site = Site(database_url, broker.bootstrap, topic_prefix, tmp_path, is_apache=False)
    await site.create_topics()
    return site


@pytest.fixture
async def kafka_site(
    database_url: str, kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> Site:
    site = Site(database_url, kafka.bootstrap, topic_prefix, tmp_path, is_apache=True)
    await site.create_topics()
    # A broker's first group waits until there is a topic for offsets: no outage, but logged as one.
    group = {"group_id": f"{topic_prefix}first", "enable_auto_commit": False}
    async with AIOKafkaConsumer(site.topic("project"), bootstrap_servers=kafka.bootstrap, **group):
        return site
