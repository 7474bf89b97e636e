"""A generation is dropped in a moment or not at all, and nobody else waits for that."""

import asyncio

import asyncpg
import pytest

from contracts.errors import OperationError
from tests.rebuild.place import Place
from tests.stack.waiting import until

WAITS = """
    SELECT count(*) FROM pg_locks
    WHERE NOT granted AND relation = 'g_second.run'::regclass AND mode = 'AccessExclusiveLock'
"""
POINTER = "SELECT name FROM runfold.active_generation FOR UPDATE NOWAIT"


@pytest.mark.crash
async def test_one_that_is_read_is_not_dropped_and_holds_up_no_swap(bare: Place) -> None:
    await bare.rebuild("second", activate=False)
    reader = await asyncpg.connect(bare.settings.database_url)
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM g_second.run")
            dropping = asyncio.create_task(bare.drop("second"))

            async def waits() -> bool:
                return bool(await bare.connection.fetchval(WAITS))

            await until(waits, 60, "the drop to wait for the reader")
            # who changes the active generation locks this row while all workers wait
            assert await bare.connection.fetchval(POINTER) == "main"
            with pytest.raises(OperationError, match="is not dropped: somebody is reading it"):
                await dropping
    finally:
        await reader.close()
    assert await bare.states() == {"main": "active", "second": "standing by"}
    await bare.drop("second")
    assert await bare.states() == {"main": "active"}
