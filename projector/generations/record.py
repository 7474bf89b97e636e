"""What the database knows of a rebuild: how it was asked for, its phase, how far it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from contracts.errors import OperationError, UsageError
from projector.database import connected
from projector.errors import UnknownGeneration
from projector.generations import copied, schema
from projector.generations.beside import holding
from projector.generations.plan import Options

LOCK: Final = 0x72756E11
"""Class of the advisory locks that rebuilds under way hold, one a name."""

MEMBERS: Final = 0x72756E12
"""Class of the advisory locks that the processes of a rebuild share."""

TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1::int, hashtext($2))"
JOIN: Final = "SELECT pg_advisory_lock_shared($1::int, hashtext($2))"
OUTLIVE: Final = "SELECT pg_advisory_xact_lock($1::int, hashtext($2))"
LAST_SECONDS: Final = 60
"""How long processes of a rebuild that was killed may take to end."""

BEGIN: Final = "INSERT INTO runfold.rebuild (generation, phase, options) VALUES ($1, 'load', $2)"
FIND: Final = "SELECT phase, options FROM runfold.rebuild WHERE generation = $1"
ENTER_PHASE: Final = """
    UPDATE runfold.rebuild
    SET phase = $2, error = NULL, updated_at = clock_timestamp()
    WHERE generation = $1
"""
FAIL: Final = """
    UPDATE runfold.rebuild SET error = $2, updated_at = clock_timestamp() WHERE generation = $1
"""
COMPLETE: Final = "UPDATE runfold.generation SET complete = true WHERE name = $1"
EXISTS: Final = "SELECT count(*) FROM runfold.generation WHERE name = $1"


class RebuildRunning(OperationError):
    """A rebuild of this name is under way."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a rebuild of generation {name!r} is running: see `runfold status`")


class GenerationExists(UsageError):
    """A generation of this name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is a generation {name!r}: choose another --name, go on with --resume, or"
            f" `runfold generations drop {name}` first"
        )


class NothingToResume(UsageError):
    """No rebuild of this name was begun."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no rebuild of generation {name!r} to resume")


@dataclass(frozen=True, slots=True)
class Begun:
    """A rebuild that may go on."""

    options: Options
    phase: str


async def lock(connection: asyncpg.Connection, name: str) -> None:
    """Keep a second rebuild of this name out for as long as the connection lives.

    Raises `RebuildRunning` when there is one, or when processes of one that was killed do not
    end; they notice by themselves, and have written their last when this returns.
    """
    if not await connection.fetchval(TRY_LOCK, LOCK, name):
        raise RebuildRunning(name)
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LAST_SECONDS}s'")
            await connection.execute(OUTLIVE, MEMBERS, name)
    except asyncpg.LockNotAvailableError as error:
        raise RebuildRunning(name) from error


@asynccontextmanager
async def belonging(database_url: str, name: str) -> AsyncIterator[None]:
    """Show, while the block runs, that this process writes to a generation that is rebuilt.

    Raises `LockLost` when it can be shown no longer.
    """
    async with connected(database_url) as connection:
        await connection.execute(JOIN, MEMBERS, name)
        async with holding(connection, name):
            yield


async def begin(connection: asyncpg.Connection, options: Options) -> Begun:
    """Create the generation, empty and ready for copying. Raises `GenerationExists`."""
    if await connection.fetchval(EXISTS, options.name):
        raise GenerationExists(options.name)
    async with connection.transaction():
        created = schema.creation(options.name, complete=False, as_of=options.until)
        for statement in (*created, *copied.loosen(options.name)):
            await connection.execute(statement)
        await connection.execute(BEGIN, options.name, options.model_dump_json())
    return Begun(options, "load")


async def begun(connection: asyncpg.Connection, name: str) -> Begun | None:
    """Return how the rebuild of this name was asked for and where it stands, if there is one."""
    row = await connection.fetchrow(FIND, name)
    if row is None:
        return None
    return Begun(Options.model_validate_json(row["options"]), row["phase"])


async def resume(connection: asyncpg.Connection, name: str) -> Begun:
    """Return where a rebuild that was ended stands, with what was asked for then.

    Raises `NothingToResume`, and `GenerationOutdated` when this version writes other tables.
    """
    found = await begun(connection, name)
    if found is None:
        raise NothingToResume(name)
    await schema.resolve(connection, name)
    return found


async def enter_phase(connection: asyncpg.Connection, name: str, phase: str) -> None:
    """Store that all phases before this one are done."""
    await connection.execute(ENTER_PHASE, name, phase)


async def complete(connection: asyncpg.Connection, name: str) -> None:
    """Store that the generation says all its history does; from now on it may be activated."""
    await connection.execute(COMPLETE, name)


async def fail(connection: asyncpg.Connection, name: str, error: str) -> None:
    """Store why a rebuild ended, for `status`, if the database is there to store it.

    Raises `UnknownGeneration` when that is why: somebody has removed it.
    """
    if connection.is_closed():
        return
    if await connection.execute(FAIL, name, error) == "UPDATE 0":
        raise UnknownGeneration(name)
