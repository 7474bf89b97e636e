"""A worker that keeps one generation up to date does so whether that is active or not."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from projector.generations.activation import workers_waiting
from tests.histories import history
from tests.live import applied, running_worker, settings_of
from tests.rebuild.place import Place, place_of
from tests.stack.waiting import until

POSITIONS = "SELECT topic, partition, next_offset FROM g_second.position ORDER BY 1, 2"
NEW = "SELECT run_id FROM g_second.run EXCEPT SELECT run_id FROM g_main.run"
QUEUED = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND mode = 'ShareLock' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
async def place(database_url: str, bootstrap: str, topic_prefix: str) -> AsyncIterator[Place]:
    """A place whose active generation, `second`, only a worker of its own keeps up to date."""
    settings = settings_of(database_url, bootstrap, topic_prefix)
    async with place_of(settings) as made:
        async with running_worker(settings):
            await made.send(history(71, size=100))
            await made.caught_up()
            await made.done("rebuild", "--name", "second")
        async with running_worker(settings.model_copy(update={"generation": "second"})):
            yield made


async def logged(place: Place) -> set[object]:
    rows = await place.connection.fetch("SELECT DISTINCT run_id FROM runfold.run_change")
    return {row["run_id"] for row in rows}


async def test_what_changes_in_the_active_one_is_told_and_in_another_is_not(place: Place) -> None:
    await place.send(history(72, size=60))
    await place.caught_up()
    new = {row["run_id"] for row in await place.connection.fetch(NEW)}
    assert new
    assert new <= await logged(place)

    await place.done("generations", "activate", "main")
    assert await place.differences("main", "second") == []
    told = await logged(place)
    await place.send(history(73, size=60))
    await place.connection.execute("SET search_path = g_second")
    await applied(place.connection, place.sent)
    assert await place.connection.fetch(NEW)
    assert await logged(place) == told

    async with running_worker(place.settings):
        await place.caught_up()
        await place.is_sound()
        assert await place.differences("main", "second") == []


async def test_it_waits_while_workers_wait(place: Place) -> None:
    connection = await asyncpg.connect(place.settings.database_url)
    try:
        async with workers_waiting(connection) as active:
            assert active == "second"
            before = await place.connection.fetch(POSITIONS)
            await place.send(history(74, size=60))

            async def waits() -> bool:
                return bool(await place.connection.fetchval(QUEUED))

            await until(waits, 30, "a worker to wait")
            assert await place.connection.fetch(POSITIONS) == before
    finally:
        await connection.close()
    await place.caught_up()
    await place.is_sound()
