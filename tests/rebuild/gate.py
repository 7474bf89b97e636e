"""Hold a rebuild at a phase, so that whatever happens, happens before it or within it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.rebuild.place import Place
from tests.stack.waiting import until

GATE = 1_919
SHUT = f"""
    SELECT pg_advisory_lock({GATE});
    CREATE FUNCTION runfold.gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.phase = '{{phase}}' THEN PERFORM pg_advisory_xact_lock({GATE}); END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER gate BEFORE UPDATE ON runfold.rebuild
    FOR EACH ROW EXECUTE FUNCTION runfold.gate()
"""
WAITING = f"""
    FROM pg_locks
    WHERE locktype = 'advisory' AND objid = {GATE} AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# who was killed at the gate is not to go through it once it is open
TURNED_AWAY = f"SELECT pg_terminate_backend(pid, 5000) {WAITING}"
HELD = "FROM pg_locks WHERE relation = 'g_{name}.position'::regclass AND NOT granted"


@asynccontextmanager
async def shut_before(database_url: str, phase: str) -> AsyncIterator[None]:
    """While the block runs no rebuild comes to this phase; it has to be dead after that."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(SHUT.format(phase=phase))
        yield
        await connection.execute(TURNED_AWAY)
        await connection.execute("DROP FUNCTION runfold.gate CASCADE")
    finally:
        await connection.close()


@asynccontextmanager
async def held_loading(place: Place, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command that rebuilds, whose processes cannot load anything while the block runs."""
    holding = await asyncpg.connect(place.settings.database_url)

    async def found(locks: str) -> bool:
        return bool(await place.connection.fetchval(f"SELECT count(*) {locks}"))

    try:
        await holding.execute(SHUT.format(phase="load"))
        process = await place.begun("rebuild", "--name", name)
        await until(lambda: found(WAITING), 60, "a rebuild to begin")
        async with holding.transaction():
            await holding.execute(f"LOCK TABLE g_{name}.position IN EXCLUSIVE MODE")
            await holding.execute(f"SELECT pg_advisory_unlock({GATE})")
            await until(lambda: found(HELD.format(name=name)), 60, "processes that load")
            yield process
    finally:
        await holding.close()
