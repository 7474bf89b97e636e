"""Killed at any instant: it can be resumed with the same result, and nobody writes on behind it."""

import asyncio
from random import Random

import asyncpg
import psutil
import pytest

from tests.histories import history
from tests.rebuild.gate import shut_before
from tests.rebuild.place import Place
from tests.rebuild.processes import children_of, killed
from tests.stack.waiting import until

PHASES = ("load", "settle", "derive", "catch up", "swap")
SPREAD_SECONDS = {"load": 2.5, "settle": 0.2, "derive": 1.8, "catch up": 0.5, "swap": 0.1}
"""How long a phase takes here, so that every instant of it is hit."""
SWAPPING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE '%UPDATE runfold.active_generation%'
"""
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.kafka) for seed in range(1, 4))]


async def kill_at(place: Place, name: str, phase: str, dice: Random, *more: str) -> None:
    """Kill a command within a phase, at any instant of it."""
    after = (*PHASES, "ready")[PHASES.index(phase) + 1]
    async with shut_before(place.settings.database_url, after):
        process = await place.begun("rebuild", *more, "--name", name)
        await place.phase(name, [phase])
        # the instant is the point: whatever it falls on has to be survived
        await asyncio.sleep(dice.uniform(0, SPREAD_SECONDS[phase]))
        await killed(process)
    found = "SELECT phase FROM runfold.rebuild WHERE generation = $1"
    assert await place.connection.fetchval(found, name) == phase


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_anywhere_and_resumed_it_says_the_same(place: Place, seed: int) -> None:
    dice = Random(seed)
    for number, phase in enumerate(PHASES):
        name = f"killed_{number}"
        before = await place.active()
        await kill_at(place, name, phase, dice)
        assert await place.active() in {before, name}
        await place.is_sound()
        await place.send(history(1000 * seed + number, size=30))
        await place.done("rebuild", "--name", name, "--resume")
        assert await place.active() == name
        await place.caught_up()
        await place.is_sound()
        await place.done("generations", "activate", before)
        assert await place.differences(before, name) == []
        await place.done("generations", "activate", name)
        await place.is_sound()
        await place.done("generations", "drop", before)


async def test_killed_within_the_swap(place: Place) -> None:
    holder = await asyncpg.connect(place.settings.database_url)

    async def waits() -> bool:
        return bool(await place.connection.fetchval(SWAPPING))

    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM runfold.active_generation FOR SHARE")
            process = await place.begun("rebuild", "--name", "second")
            await until(waits, 60, "the swap to wait")
            await killed(process)
    finally:
        await holder.close()
    assert await place.active() == "main"
    await place.send(history(31, size=30))
    await place.caught_up()
    await place.is_sound()
    await place.done("rebuild", "--name", "second", "--resume")
    assert await place.active() == "second"
    assert await place.differences("main", "second") == []
    await place.is_sound()


async def test_killed_twice_and_more(place: Place) -> None:
    dice = Random(77)
    await kill_at(place, "often", "load", dice)
    for phase in ("load", "settle", "derive", "catch up"):
        await kill_at(place, "often", phase, dice, "--resume")
    await place.done("rebuild", "--name", "often", "--resume")
    assert await place.active() == "often"
    assert await place.differences("main", "often") == []
    await place.is_sound()


async def test_a_killed_rebuild_is_dropped(place: Place) -> None:
    await kill_at(place, "gone", "load", Random(5))
    listed = await place.done("generations", "list")
    assert "generation name=gone state=incomplete" in listed
    assert await place.refused("generations", "activate", "gone") == (
        "runfold: generation 'gone' is not complete: go on with"
        " `runfold rebuild --name gone --resume`"
    )
    await place.done("generations", "drop", "gone")
    assert await place.connection.fetchval("SELECT count(*) FROM runfold.rebuild") == 0
    assert await place.connection.fetchval("SELECT to_regnamespace('g_gone')") is None
    assert await place.active() == "main"
    await place.done("rebuild", "--name", "gone")
    assert await place.active() == "gone"


async def test_one_name_is_rebuilt_once_at_a_time_and_two_names_at_once(place: Place) -> None:
    first = await place.begun("rebuild", "--name", "one", "--max-rate", "10")
    await place.phase("one", ["load"])
    for command in (
        ["rebuild", "--name", "one", "--resume"],
        ["rebuild", "--name", "one"],
        ["generations", "drop", "one"],
        ["generations", "activate", "one"],
    ):
        assert await place.refused(*command) == (
            "runfold: a rebuild of generation 'one' is running: see `runfold status`"
        )
    shown = await place.done("status")
    assert "rebuild generation=one phase=load running=yes" in shown
    await place.done("rebuild", "--name", "two")
    assert await first.wait() == 0
    assert await place.active() == "one"
    assert await place.differences("one", "two") == []
    await place.caught_up()
    await place.is_sound()


async def test_ctrl_c_says_how_to_go_on(place: Place) -> None:
    process = await place.begun("rebuild", "--name", "stopped", "--max-rate", "100")
    await place.phase("stopped", ["load"])
    await until(lambda: len(children_of(process.pid)) > 2, 30, "processes that load")
    # a terminal's Ctrl-C goes to all of them
    for each in [*children_of(process.pid), psutil.Process(process.pid)]:
        each.send_signal(2)
    _, said = await process.communicate()
    assert process.returncode == 130
    last = said.decode().splitlines()[-1]
    assert last == (
        "runfold: go on with `runfold rebuild --name stopped --resume`, or"
        " `runfold generations drop stopped`; the active generation is untouched"
    )
    assert "Traceback" not in said.decode()
    await place.done("rebuild", "--name", "stopped", "--resume")
    assert await place.differences("main", "stopped") == []
