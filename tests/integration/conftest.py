"""A database for the tests of one module, beside the one that each test may have of its own.

A module that shares says `pytestmark = pytest.mark.asyncio(loop_scope="module")`, and makes
what its tests share with `pytest_asyncio.fixture(scope="module", loop_scope="module")`.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest_asyncio

from projector.demo.postgres import EmbeddedPostgres
from tests.stack import databases


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_url(postgres: EmbeddedPostgres, database_template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database that the tests of a module share."""
    name = f"shared_{uuid4().hex}"
    await databases.clone_database(postgres.url, database_template, name)
    yield postgres.url_of(name)
    await databases.drop_database(postgres.url, name)
