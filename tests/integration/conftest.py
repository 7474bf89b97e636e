"""What the tests of one module share, beside the database that each test may have of its own.

A module that shares says `pytestmark = pytest.mark.asyncio(loop_scope="module")`, and makes
what its tests share with `pytest_asyncio.fixture(scope="module", loop_scope="module")`.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from api import stream
from tests.api_rows import Client, serving
from tests.applying import Worker, viewing, workers
from tests.deciding import Case, Outbox, Told, key_file
from tests.stack import databases
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres
from tests.streams import Platform, Served, listening


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_url(postgres: EmbeddedPostgres, database_template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database that the tests of a module share."""
    name = f"shared_{uuid4().hex}"
    await databases.clone_database(postgres.url, database_template, name)
    yield postgres.url_of(name)
    await databases.drop_database(postgres.url, name)


@pytest_asyncio.fixture(loop_scope="module")
async def owner(shared_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner of the shared database, who sees the views."""
    async with viewing(shared_url) as connection:
        yield connection


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signing(
    shared_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """An API over the shared database, which signs approvals."""
    key = key_file(tmp_path_factory.mktemp("key"))
    async with serving(shared_url, approval_key=key) as client:
        yield client


@pytest.fixture(scope="module")
def told(shared_url: str) -> Told:
    """The views of the shared database."""
    return Told(shared_url)


@pytest_asyncio.fixture(loop_scope="module")
async def case(signing: Client, told: Told) -> Case:
    """A run in the shared database that waits for a decision."""
    case = Case(signing, told)
    await case.waits()
    return case


@pytest.fixture
def server(broker: EmbeddedBroker) -> str:
    """Where the topic of decisions is: on the embedded broker, but for what both must do."""
    return broker.bootstrap


@pytest.fixture
async def outbox(database_url: str, server: str, topic_prefix: str, tmp_path: Path) -> Outbox:
    return await Outbox(database_url, server, topic_prefix, key_file(tmp_path)).open()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(shared_url: str) -> AsyncIterator[Worker]:
    """Somebody who writes the shared views."""
    async with workers(shared_url, 1) as (worker,):
        yield worker


@pytest.fixture
def platform(worker: Worker) -> Platform:
    """Runs of a test's own, and what happens to them."""
    return Platform(worker)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(shared_url: str) -> AsyncIterator[Served]:
    """An API over the shared database, on a port."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stream, "KEEP_ALIVE_S", 0.2)
        async with listening(shared_url) as api:
            yield api
