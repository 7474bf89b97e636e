"""Places to rebuild at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from projector.kafka.topics import create_topics
from tests.histories import history
from tests.live import running_worker, settings_of
from tests.rebuild.place import Place, place_of
from tests.stack import databases
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres


@pytest.fixture
def bootstrap(request: pytest.FixtureRequest) -> str:
    """The embedded broker; Apache Kafka too where a test is marked `on_both`."""
    if getattr(request, "param", "embedded") == "apache":
        return str(request.getfixturevalue("kafka_bootstrap"))
    embedded: EmbeddedBroker = request.getfixturevalue("broker")
    return embedded.bootstrap


@pytest.fixture
async def place(database_url: str, bootstrap: str, topic_prefix: str) -> AsyncIterator[Place]:
    """A place whose worker has applied a history with everything bad in it, and goes on."""
    settings = settings_of(database_url, bootstrap, topic_prefix)
    async with running_worker(settings), place_of(settings) as made:
        await made.send(history(21, size=400, bad=True))
        await made.caught_up()
        yield made


@asynccontextmanager
async def new_place(database_url: str, broker: str) -> AsyncIterator[Place]:
    settings = settings_of(database_url, broker, f"test_{uuid4().hex}.")
    await create_topics(settings, settings.partitions)
    async with place_of(settings) as made:
        yield made


@pytest.fixture
async def bare(database_url: str, bootstrap: str) -> AsyncIterator[Place]:
    """A place with nothing in its database and nothing in its topics, and no worker."""
    async with new_place(database_url, bootstrap) as made:
        yield made


@pytest.fixture
async def filled(
    postgres: EmbeddedPostgres, database_template: str, bootstrap: str
) -> AsyncIterator[Place]:
    """A place without a worker whose generation `first` has a history with everything bad in it."""
    name = f"test_{uuid4().hex}"
    await databases.clone_database(postgres.url, database_template, name)
    async with new_place(postgres.url_of(name), bootstrap) as made:
        await made.send(history(21, size=400, bad=True))
        await made.rebuild("first")
        yield made
    await databases.drop_database(postgres.url, name)
