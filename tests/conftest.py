"""The servers tests run on: started when first asked for, shared by the whole run.

A test gets a database of its own, cloned from a migrated template, and a topic prefix of its
own, so that tests share servers and nothing else.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from tests.kafka.containers import engine_answers, kafka_container
from tests.kafka.jars import missing_tools
from tests.kafka.server import KafkaServer
from tests.stack import databases
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres


def pytest_configure() -> None:
    """Let tests send Ctrl-C to what they start: a shell ignores it for what runs in its
    background, and so would every process begun here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """The run's embedded broker; what it cannot do is listed in its module."""
    with EmbeddedBroker() as server:
        yield server


@pytest.fixture(scope="session")
def database_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database that `runfold migrate` has brought to the current schema."""
    from projector.migrate import migrate

    asyncio.run(databases.create_database(postgres.url, databases.TEMPLATE))
    migrate(postgres.url_of(databases.TEMPLATE))
    asyncio.run(databases.close_template(postgres.url, databases.TEMPLATE))
    return databases.TEMPLATE


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, database_template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database, dropped after the test."""
    name = f"test_{uuid4().hex}"
    await databases.clone_database(postgres.url, database_template, name)
    yield postgres.url_of(name)
    await databases.drop_database(postgres.url, name)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix no other test's topics have, on a broker all tests share."""
    return f"test-{uuid4().hex[:12]}."


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """The run's Apache Kafka, to be stopped, killed and paused; whoever does brings it back."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"APACHE KAFKA NOT TESTED: no {' and no '.join(missing)} on the path")
    with KafkaServer() as server:
        yield server


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> Iterator[str]:
    """An Apache Kafka: in a container where an engine answers, else run from its jars."""
    if engine_answers():
        with kafka_container() as bootstrap:
            yield bootstrap
    else:
        server: KafkaServer = request.getfixturevalue("kafka")
        yield server.bootstrap


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def bootstrap(request: pytest.FixtureRequest) -> str:
    """The embedded broker and, where the marker `kafka` is selected, Apache Kafka: for what
    both must do."""
    if request.param == "apache":
        return str(request.getfixturevalue("kafka_bootstrap"))
    embedded: EmbeddedBroker = request.getfixturevalue("broker")
    return embedded.bootstrap
