"""Without its lock on the generation, or without the generation, a rebuild ends and says so."""

import asyncio

import psutil
import pytest

from tests.histories import history
from tests.rebuild.place import Place
from tests.rebuild.processes import alive, children_of
from tests.stack.waiting import until

END_HOLDER = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = $1::bigint::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
LOCK, MEMBERS = 0x72756E11, 0x72756E12
GONE = "runfold: there is no generation 'second': see `runfold generations list`"
KEPT = "SELECT count(*) FROM runfold.worker WHERE generation = 'second'"
DROP = "DELETE FROM runfold.generation WHERE name = 'second'; DROP SCHEMA g_second CASCADE"


async def loading(place: Place) -> tuple[asyncio.subprocess.Process, list[psutil.Process]]:
    """A rebuild that loads slowly, and its processes."""
    process = await place.begun("rebuild", "--name", "second", "--max-rate", "10")
    await place.phase("second", ["load"])

    async def have_begun() -> bool:
        return bool(await place.connection.fetchval("SELECT count(*) FROM g_second.position"))

    await until(have_begun, 60, "processes that load")
    return process, children_of(process.pid)


async def ended(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in said.decode()
    return said.decode().splitlines()[-1]


@pytest.mark.parametrize("lock", [LOCK, MEMBERS])
async def test_a_rebuild_ends_with_its_lock(place: Place, lock: int) -> None:
    process, children = await loading(place)
    assert await place.connection.fetchval(END_HOLDER, lock)
    assert await ended(process) == (
        "runfold: the connection to the database was lost, and with it the lock on generation"
        " 'second': go on with `runfold rebuild --name second --resume`"
    )
    await until(lambda: not alive(children), 20, "the processes of the rebuild to end")
    await place.done("generations", "drop", "second")
    assert await place.active() == "main"


async def test_a_rebuild_ends_with_its_generation(place: Place) -> None:
    process, _ = await loading(place)
    await place.connection.execute(DROP)
    assert await ended(process) == GONE


async def test_a_worker_ends_with_its_generation(place: Place) -> None:
    await place.done("rebuild", "--name", "second", "--no-activate")
    process = await place.begun("projector", "--generation", "second")

    async def reports() -> bool:
        return bool(await place.connection.fetchval(KEPT))

    await until(reports, 60, "the worker to report")
    await place.connection.execute(DROP)
    await place.send(history(91, size=10))
    assert await ended(process) == GONE
