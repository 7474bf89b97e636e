"""A generation is dropped in a moment or not at all, and nobody else waits for that."""

import asyncpg

from tests.rebuild.place import Place
from tests.stack.waiting import until

WAITS = """
    SELECT count(*) FROM pg_locks
    WHERE NOT granted AND relation = 'g_second.run'::regclass AND mode = 'AccessExclusiveLock'
"""
POINTER = "SELECT name FROM runfold.active_generation FOR UPDATE NOWAIT"


async def test_one_that_is_read_is_not_dropped_and_holds_up_no_swap(place: Place) -> None:
    await place.done("rebuild", "--name", "second", "--no-activate")
    reader = await asyncpg.connect(place.settings.database_url)
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM g_second.run")
            process = await place.begun("generations", "drop", "second")

            async def waits() -> bool:
                return bool(await place.connection.fetchval(WAITS))

            await until(waits, 60, "the drop to wait for the reader")
            # who changes the active generation locks this row while all workers wait
            assert await place.connection.fetchval(POINTER) == "main"
            _, said = await process.communicate()
    finally:
        await reader.close()
    assert process.returncode == 1
    assert said.decode() == (
        "runfold: generation 'second' is not dropped: somebody is reading it; see pg_stat_activity"
        " for the transaction, and try it again when it has ended\n"
    )
    assert "name=second" in await place.done("generations", "list")
    assert await place.done("generations", "drop", "second") == "generation second is dropped\n"
