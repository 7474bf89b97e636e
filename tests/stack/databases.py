"""Databases made and dropped on a running server, by statements of one connection each."""

import asyncpg

TEMPLATE = "runfold_template"


async def create_database(server_url: str, name: str) -> None:
    await _execute(server_url, f'CREATE DATABASE "{name}"')


async def close_template(server_url: str, name: str) -> None:
    """Let nobody connect to the database again: a template in use cannot be cloned."""
    await _execute(server_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')


async def clone_database(server_url: str, template: str, name: str) -> None:
    """A copy of the template as it is now, file by file: that is faster than by way of the log."""
    await _execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')


async def drop_database(server_url: str, name: str) -> None:
    """Drop the database, ending whoever is still connected to it."""
    await _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(server_url: str, statement: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
