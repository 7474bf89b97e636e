"""A history in a file: exported, rebuilt from, and gone on with where it was left."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
import pytest

from contracts.errors import OperationError, UsageError
from projector.generations import load
from projector.generations.diff import COMPARED
from projector.generations.processes import Job
from projector.kafka.topics import create_topics
from tests.histories import history
from tests.live import running_worker, settings_of
from tests.rebuild.place import FULL_DISK, ROOM_AGAIN, Place, in_process, on_both, place_of
from tests.stack.topics import delete_topic
from tests.stack.waiting import until
from tests.unit.event_samples import least

ANEW = "SELECT sum(next_offset)::int FROM g_third.position WHERE topic = $1 AND partition > -1"
LOADED = "SELECT max(next_offset) FROM g_g.position WHERE partition < 0"
ROWS = "SELECT array_agg(row::text ORDER BY row::text) FROM g_{}.{} AS row"


async def told(place: Place) -> dict[str, list[str]]:
    fetch, active = place.connection.fetchval, await place.active()
    return {table: await fetch(ROWS.format(active, table)) for table in COMPARED}


async def test_a_rebuild_from_a_file_says_what_one_from_topics_says(
    filled: Place, bare: Place, tmp_path: Path
) -> None:
    file = tmp_path / "history.jsonl.zst"
    await filled.export(file)
    known = await told(filled)
    assert all(known.values())
    await bare.rebuild("of_file", files=(file,))
    assert await bare.active() == "of_file"
    assert await told(bare) == known
    await bare.is_sound()

    # what the topics hold besides is read after the file
    await filled.send(history(31, size=70))
    await filled.rebuild("of_both", files=(file,))
    await filled.activate("first")
    assert await filled.differences("first", "of_both") == []
    await filled.caught_up()
    await filled.is_sound()


async def test_a_wrong_file_is_named_and_the_rebuild_can_be_dropped(
    bare: Place, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_bytes(b'{"topic":"project","key":"p","value":null}\n{"topic":"none"}\n')
    said = await bare.refused("rebuild", "--name", "wrong", "--from-file", str(file))
    assert said.startswith(f"runfold: {file}, line 2: ")
    assert (await bare.known("wrong")).error == said.removeprefix("runfold: ")
    await bare.drop("wrong")
    assert await bare.states() == {"main": "active"}


def projects(numbers: Iterable[int]) -> bytes:
    events = (least("project", project_id=f"p{n}") for n in numbers)
    lines = ({"topic": "project", "key": None, "value": event} for event in events)
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


async def test_a_file_that_was_replaced_is_not_gone_on_with(
    bare: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "RECORDS_AT_ONCE", 100)
    file = tmp_path / "history.jsonl"
    file.write_bytes(projects(range(2_000)))

    async def until_full(jobs: Sequence[Job]) -> None:
        full = FULL_DISK.format(table="g_g.project", condition="NEW.project_id = 'p1000'")
        await bare.connection.execute(full)
        await in_process(jobs)

    with pytest.raises(OperationError, match="the database cannot hold the new generation"):
        await bare.rebuild("g", until_full, files=(file,))
    assert await bare.connection.fetchval(LOADED) == 1_000
    await bare.connection.execute(ROOM_AGAIN)

    for others in (projects(reversed(range(2_000))), projects(range(1_000))):
        file.write_bytes(others)
        with pytest.raises(UsageError, match="is not what it was when this rebuild was begun"):
            await bare.resume("g")
    file.write_bytes(projects(range(2_001)))
    await bare.resume("g")
    assert await bare.connection.fetchval("SELECT count(*) FROM g_g.project") == 2_001


@on_both
async def test_a_topic_made_anew_is_made_up_for_by_a_file_or_done_without(
    database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    topic, file = f"{topic_prefix}run-state", tmp_path / "history.jsonl"
    async with place_of(settings) as place:
        async with running_worker(settings):
            await place.is_sound(*history(21, size=400))
        await place.export(file)
        await delete_topic(bootstrap, topic)
        await create_topics(settings, settings.partitions)
        with pytest.raises(OperationError, match="at offset 0, the active generation stands at"):
            await place.rebuild("refused", files=(file,))
        assert await place.states() == {"main": "active"}

        await place.rebuild("second", allow_gap=True, activate=False)
        assert await place.activate("second")
        await place.activate("main")
        await place.rebuild("third", files=(file,), allow_gap=True, verify=True)
        assert await place.active() == "third"
        assert await place.differences("main", "third") == []
        async with running_worker(settings):
            more = [each for each in history(22, size=300) if each.topic == "run-state"]
            await place.send(more)

            async def have_been_read() -> bool:
                return bool(await place.connection.fetchval(ANEW, topic) == len(more))

            await until(have_been_read, 60, "the events of the new topic to be read")
        await place.connection.execute("SET search_path = g_third")
        await place.is_sound()
