"""One connection for one command, and what is wrong with the database said in one line."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg
from sqlalchemy.exc import DBAPIError

from contracts import instants
from contracts.errors import OperationError
from contracts.health import LOST
from contracts.read_model import WRITER_ROLE
from projector.generations import schema

CONNECT_SECONDS: Final = 10


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for as long as the block runs.

    Raises `OperationError` when the database is not to be had, or goes away meanwhile.
    """
    with faults_named(database_url):
        connection = await asyncpg.connect(database_url, timeout=CONNECT_SECONDS)
        try:
            await instants.prepare(connection)
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)


@asynccontextmanager
async def active_generation(connection: asyncpg.Connection) -> AsyncIterator[str]:
    """One consistent look at the active generation's tables, which need no schema before them.

    Gives the generation's name. Raises what `schema.resolve` raises.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        name = await schema.resolve(connection)
        await connection.execute(f"SET LOCAL search_path = {schema.schema_of(name)}")
        yield name


@contextmanager
def faults_named(database_url: str) -> Iterator[None]:
    """Turn what the database or the way to it refuses into `OperationError`s that say where."""
    try:
        yield
    except (asyncpg.PostgresError, DBAPIError, *LOST) as error:
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        raise OperationError(f"the database at {place(database_url)}: {what}") from error


def place(database_url: str) -> str:
    """Host, port and name of a database, without user and password."""
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", []))
    return f"{host}{parts.path}"


@asynccontextmanager
async def as_writer(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the writer role, to the active generation's tables.

    Raises `OperationError` when the database is not to be had, and what `schema.resolve`
    raises.
    """
    async with connected(database_url) as connection:
        name = await schema.resolve(connection)
        await connection.execute(f"SET search_path = {schema.schema_of(name)}")
        await connection.execute(f"SET ROLE {WRITER_ROLE}")
        yield connection
