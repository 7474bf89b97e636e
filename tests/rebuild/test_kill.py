"""Killed at any instant: it can be resumed with the same result, and nobody writes on behind it."""

import asyncio
from random import Random

import psutil
import pytest

from contracts.errors import OperationError
from projector.database import connected
from projector.generations import schema
from tests.histories import history
from tests.rebuild.gate import held_loading, shut_before
from tests.rebuild.place import Place, on_both
from tests.stack.waiting import until

PHASES = ("load", "settle", "derive", "catch up", "swap")
SPREAD_SECONDS = {"load": 2.5, "settle": 0.2, "derive": 1.8, "catch up": 0.5, "swap": 0.1}
"""How long a phase takes here, so that every instant of it is hit."""
SWAPPING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE '%UPDATE runfold.active_generation%'
"""
END_HOLDER = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = $1::bigint::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def children_of(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


async def are_ended(children: list[psutil.Process]) -> None:
    def ended() -> bool:
        return all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in children)

    await until(ended, 20, "the processes of a rebuild to end")


async def killed(process: asyncio.subprocess.Process) -> None:
    """Return once a command was killed and the processes it had begun have ended."""
    children = children_of(process)
    process.kill()
    await process.wait()
    await are_ended(children)


async def kill_at(place: Place, name: str, phase: str, dice: Random, *more: str) -> None:
    """Kill a command within a phase, at any instant of it."""
    after = (*PHASES, "ready")[PHASES.index(phase) + 1]
    found = "SELECT phase FROM runfold.rebuild WHERE generation = $1"

    async def is_there() -> bool:
        return bool(await place.connection.fetchval(found, name) == phase)

    async with shut_before(place.settings.database_url, after):
        process = await place.begun("rebuild", *more, "--name", name)
        await until(is_there, 60, f"rebuild {name} to {phase}")
        # the instant is the point: whatever it falls on has to be survived
        await asyncio.sleep(dice.uniform(0, SPREAD_SECONDS[phase]))
        await killed(process)
    assert await is_there()


@pytest.mark.crash
@pytest.mark.timeout(600)
@on_both
@pytest.mark.parametrize("seed", [0, 1])
async def test_killed_anywhere_and_resumed_it_says_the_same(place: Place, seed: int) -> None:
    dice = Random(seed)
    for number, phase in enumerate(("load", *PHASES)):
        await kill_at(place, "often", phase, dice, *(["--resume"] if number else []))
        assert await place.active() in {"main", "often"}
        await place.is_sound()
        await place.is_sound(*history(1000 * seed + number, size=30))
    await place.done("rebuild", "--name", "often", "--resume")
    assert await place.active() == "often"
    await place.caught_up()
    await place.is_sound()
    await place.activate("main")
    assert await place.differences("main", "often") == []
    await place.activate("often")
    await place.is_sound()
    await place.drop("main")


@on_both
async def test_killed_within_the_swap(place: Place) -> None:
    async def waits() -> bool:
        return bool(await place.connection.fetchval(SWAPPING))

    async with connected(place.settings.database_url) as holder, holder.transaction():
        await holder.execute("SELECT FROM runfold.active_generation FOR SHARE")
        process = await place.begun("rebuild", "--name", "second")
        await until(waits, 60, "the swap to wait")
        await killed(process)
    assert await place.active() == "main"
    await place.is_sound(*history(31, size=30))
    await place.resume("second")
    assert await place.active() == "second"
    assert await place.differences("main", "second") == []
    await place.is_sound()


async def test_nobody_writes_on_behind_a_rebuild_that_was_killed(place: Place) -> None:
    async with held_loading(place, "second") as process:
        await killed(process)
        # the sessions end in the middle of the statements that are held
        async with asyncio.timeout(30), connected(place.settings.database_url) as resuming:
            await schema.lock(resuming, "second")
    assert await place.states() == {"main": "active", "second": "incomplete"}
    with pytest.raises(OperationError, match="'second' is not complete: resume it with `runfold"):
        await place.activate("second")
    await place.drop("second")
    assert await place.connection.fetchval("SELECT count(*) FROM runfold.rebuild") == 0
    assert await place.connection.fetchval("SELECT to_regnamespace('g_second')") is None
    await place.rebuild("second")
    assert await place.active() == "second"


async def test_ctrl_c_says_how_to_go_on(place: Place) -> None:
    async with held_loading(place, "stopped") as process:
        children = children_of(process)
        assert len(children) > 2
        # a terminal's Ctrl-C goes to all of them
        for each in [*children, psutil.Process(process.pid)]:
            each.send_signal(2)
        _, said = await process.communicate()
    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == (
        "runfold: resume it with `runfold rebuild --name stopped --resume`, or remove it with"
        " `runfold generations drop stopped`; the active generation is untouched"
    )
    assert "Traceback" not in said.decode()
    await place.resume("stopped")
    assert await place.differences("main", "stopped") == []


@pytest.mark.crash
@pytest.mark.parametrize("lock", [schema.REBUILDING, schema.MEMBERS])
async def test_a_rebuild_ends_with_its_lock(place: Place, lock: int) -> None:
    async with held_loading(place, "second") as process:
        children = children_of(process)
        assert await place.connection.fetchval(END_HOLDER, lock)
        async with asyncio.timeout(30):
            _, said = await process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in said.decode()
    last = "the database at "
    if lock == schema.REBUILDING:
        last = "the connection to the database was lost, and with it the lock on generation"
        last += " 'second': resume it with `runfold rebuild --name second --resume`"
    assert said.decode().splitlines()[-1].startswith(f"runfold: {last}"), said
    await are_ended(children)
    await place.drop("second")
    assert await place.active() == "main"


async def test_one_name_is_rebuilt_once_at_a_time_and_two_names_at_once(bare: Place) -> None:
    await bare.send(history(21, size=100))
    running = "a rebuild of generation 'one' is running: see `runfold status`"
    async with bare.held("one") as rebuilding:
        for again in (bare.resume, bare.rebuild, bare.drop, bare.activate):
            with pytest.raises(OperationError) as refused:
                await again("one")
            assert str(refused.value) == running
        assert (await bare.known("one")).state == "being rebuilt"
        await bare.rebuild("two")
    await rebuilding
    assert await bare.active() == "one"
    assert await bare.differences("one", "two") == []
    await bare.caught_up()
    await bare.is_sound()
