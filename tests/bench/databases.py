"""A database of its own for each measurement."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

from projector.demo.postgres import EmbeddedPostgres
from tests.stack import databases

Fresh = Callable[[], AbstractAsyncContextManager[str]]
"""Gives the URL of a migrated database while a block runs."""


def fresh_on(postgres: EmbeddedPostgres, template: str) -> Fresh:
    """Databases cloned from this template."""

    @asynccontextmanager
    async def fresh() -> AsyncIterator[str]:
        name = f"bench_{uuid4().hex}"
        await databases.clone_database(postgres.url, template, name)
        yield postgres.url_of(name)
        await databases.drop_database(postgres.url, name)

    return fresh
