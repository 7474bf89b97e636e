"""What all measurements share: where figures go, and servers as durable as in production."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.bench.backlog import APACHE, Fresh, Site
from tests.bench.figures import Figures
from tests.stack import databases
from tests.stack.servers import EmbeddedPostgres


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, help="write the figures to this file, as JSON")


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Where figures go: to the terminal at once, to the file of --figures at the end."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", flush=True)

    collected = Figures(show)
    yield collected
    file = request.config.getoption("figures")
    if file is not None:
        collected.write(file)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The run's PostgreSQL, which waits for its disk at every commit."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture(scope="session")
def fresh(postgres: EmbeddedPostgres, database_template: str) -> Fresh:
    """Migrated databases, one for each time it is called."""

    @asynccontextmanager
    async def fresh() -> AsyncIterator[str]:
        name = f"bench_{uuid4().hex}"
        await databases.clone_database(postgres.url, database_template, name)
        yield postgres.url_of(name)
        await databases.drop_database(postgres.url, name)

    return fresh


@pytest.fixture
def site(request: pytest.FixtureRequest, figures: Figures, fresh: Fresh, topic_prefix: str) -> Site:
    """Topics of a test's own on the broker that it names."""
    if request.param == APACHE:
        bootstrap = request.getfixturevalue("kafka_bootstrap")
    else:
        bootstrap = request.getfixturevalue("broker").bootstrap
    return Site(figures, fresh, request.param, bootstrap, topic_prefix)
