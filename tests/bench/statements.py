"""The statements that the API puts to the database for a page of the list, without the API."""

from typing import Any, Final

import asyncpg

from api.database import SESSION
from api.queries import runs
from api.reading import BEGIN, Snapshot
from tests.bench.asked import Asked


class _Recorded(Exception):
    """What a question would have put to the database."""

    def __init__(self, statement: str, arguments: tuple[Any, ...]) -> None:
        self.statement, self.arguments = statement, arguments


class _Recording:
    """Stands in for a connection, to learn the statement."""

    async def fetchrow(self, statement: str, *arguments: Any) -> asyncpg.Record:
        raise _Recorded(statement, arguments)


async def of_page(asked: Asked) -> tuple[str, tuple[Any, ...]]:
    """The statement for a page, and its arguments."""
    recording: Any = _Recording()
    try:
        await runs.page(Snapshot(recording, "main"), asked.where, asked.slice)
    except _Recorded as recorded:
        return recorded.statement, recorded.arguments
    raise AssertionError("a page without a statement")


ALL: Final[tuple[Any, ...]] = ([], "on", "on")
"""Who may see everything, as the first statement of a request says it."""


async def connect(database_url: str) -> asyncpg.Connection:
    """A connection like the API's."""
    return await asyncpg.connect(database_url, server_settings=SESSION)


async def ask(connection: asyncpg.Connection, statement: str, arguments: tuple[Any, ...]) -> None:
    """Do what one request does in the database."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.fetchrow(BEGIN, *ALL)
        await connection.fetchrow(statement, *arguments)
