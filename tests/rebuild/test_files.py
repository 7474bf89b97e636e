"""A history in a file: exported, rebuilt from, and gone on with where it was left."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
import pytest

from contracts.errors import OperationError, UsageError
from projector.generations import load
from projector.generations.diff import COMPARED
from projector.generations.processes import Job
from tests.histories import history
from tests.rebuild.place import FULL_DISK, ROOM_AGAIN, Place, in_process
from tests.unit.event_samples import least

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
