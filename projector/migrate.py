"""Bring a database to the current schema and make sure it has an active generation."""

import asyncio
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from contracts.errors import OperationError
from contracts.read_model import CONTROL_SCHEMA
from projector.database import connected
from projector.errors import GenerationOutdated
from projector.generations import schema

FIRST_GENERATION: Final = "main"
OLDEST_SERVER: Final = 18

FORMER_REVISIONS: Final = {"0001", "0002", "0003", "0004", "0005"}
FORMER: Final = (
    "the database was made by an older version of runfold, which this one cannot upgrade: migrate"
    " an empty database; its workers fill it from the topics"
)
NEWER: Final = (
    "the database's schema is at revision {}, which this version does not know: run the newer"
    " version of runfold that made it"
)

# Two migrations at once (several hosts of one deployment) take turns on this advisory lock.
MIGRATION_LOCK: Final = 7_046_133_001


def migrate(database_url: str) -> None:
    """Create or upgrade the control schema, its roles, and the first generation.

    Safe to call again and from several processes at once. Raises `OperationError` below
    PostgreSQL 18 and when another version of runfold made the database, `asyncpg.PostgresError`
    or `OSError` when the database cannot be reached.
    """
    asyncio.run(_migrate(database_url))


def outdated(database_url: str) -> GenerationOutdated | None:
    """Return an error to report when the active generation is of another version, else None."""
    return asyncio.run(_outdated(database_url))


async def _outdated(database_url: str) -> GenerationOutdated | None:
    async with connected(database_url) as connection:
        try:
            await schema.resolve(connection)
        except GenerationOutdated as error:
            return error
    return None


async def _migrate(database_url: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database_url)
    )
    try:
        async with engine.begin() as connection:
            await _check_server(connection)
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {CONTROL_SCHEMA}"))
            await connection.run_sync(_upgrade)
            await _first_generation(connection)
    finally:
        await engine.dispose()


async def _check_server(connection: AsyncConnection) -> None:
    version = await connection.scalar(text("SELECT current_setting('server_version_num')::int"))
    if version // 10_000 < OLDEST_SERVER:
        raise OperationError(
            f"PostgreSQL {version // 10_000} is too old: runfold needs {OLDEST_SERVER} or newer"
        )


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        found = error.__cause__.argument
        raise OperationError(
            FORMER if found in FORMER_REVISIONS else NEWER.format(found)
        ) from error


async def _first_generation(connection: AsyncConnection) -> None:
    if await connection.scalar(text("SELECT count(*) FROM runfold.active_generation")):
        return
    for statement in schema.creation(FIRST_GENERATION, complete=True):
        await connection.exec_driver_sql(statement)
    await connection.execute(
        text("INSERT INTO runfold.active_generation (name) VALUES (:name)"),
        {"name": FIRST_GENERATION},
    )
