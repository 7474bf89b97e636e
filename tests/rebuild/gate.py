"""Keep a rebuild from going on to a phase, so that whatever happens, happens before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

GATE = 1_919
SHUT = f"""
    SELECT pg_advisory_lock({GATE});
    CREATE FUNCTION runfold.gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.phase = '{{phase}}' THEN PERFORM pg_advisory_xact_lock({GATE}); END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER gate BEFORE UPDATE ON runfold.rebuild
    FOR EACH ROW WHEN (NEW.phase <> OLD.phase) EXECUTE FUNCTION runfold.gate()
"""
# who was killed at the gate is not to go through it once it is open
TURNED_AWAY = f"""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
    WHERE locktype = 'advisory' AND objid = {GATE} AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
OPEN = "DROP FUNCTION runfold.gate CASCADE"


@asynccontextmanager
async def shut_before(database_url: str, phase: str) -> AsyncIterator[None]:
    """While the block runs no rebuild comes to this phase; it has to be dead after that."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(SHUT.format(phase=phase))
        yield
        await connection.execute(TURNED_AWAY)
        await connection.execute(OPEN)
    finally:
        await connection.close()
