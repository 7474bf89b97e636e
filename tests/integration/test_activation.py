"""Whoever changes the active generation does not keep others waiting for a long transaction."""

import asyncio
import time

import asyncpg
import pytest

from contracts.errors import OperationError
from projector.generations import activation
from projector.generations.activation import Target, enter, workers_waiting
from tests.stack.waiting import until

QUEUED = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def swap(connection: asyncpg.Connection) -> None:
    async with workers_waiting(connection):
        pass


async def test_workers_go_on_while_a_long_transaction_delays_a_swap_until_it_is_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short, swapping = [await asyncpg.connect(database_url) for _ in range(3)]
    async with long.transaction():
        await enter(long, Target("main"))
        asked = asyncio.create_task(swap(swapping))

        async def is_queued() -> bool:
            return bool(await short.fetchval(QUEUED))

        await until(is_queued, 10, "the swap to queue")
        began = time.monotonic()
        async with asyncio.timeout(10), short.transaction():
            await enter(short, Target("main"))
        assert time.monotonic() - began < 5
        assert not asked.done()
    async with asyncio.timeout(20):
        await asked

    monkeypatch.setattr(activation, "ATTEMPTS", 2)
    monkeypatch.setattr(activation, "PAUSE_SECONDS", 0.1)
    async with long.transaction():
        await enter(long, Target("main"))
        with pytest.raises(OperationError, match="in use by a long transaction at each of 2"):
            await swap(swapping)
    for connection in (long, short, swapping):
        await connection.close()
