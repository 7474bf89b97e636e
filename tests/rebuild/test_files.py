"""A history in a file: exported, added to, and rebuilt from."""

from collections.abc import Iterable
from pathlib import Path

import orjson

from projector import jsonl
from projector.generations.diff import COMPARED
from tests.histories import history
from tests.rebuild.place import Place
from tests.rebuild.processes import killed
from tests.stack.waiting import until
from tests.unit.event_samples import least


async def told(place: Place) -> dict[str, list[str]]:
    """All that the active generation says, by table."""
    schema = f"g_{await place.active()}"
    return {
        table: [
            str(row[0])
            for row in await place.connection.fetch(
                f"SELECT row::text FROM {schema}.{table} AS row ORDER BY 1"
            )
        ]
        for table in COMPARED
    }


async def test_a_file_is_enough_where_the_topics_are_empty(
    place: Place, bare: Place, tmp_path: Path
) -> None:
    file = tmp_path / "history.jsonl.zst"
    await place.done("export", "--out", str(file))
    await bare.done("rebuild", "--name", "of_file", "--from-file", str(file))
    assert await bare.active() == "of_file"
    said = await told(bare)
    assert all(said.values())
    assert said == await told(place)
    await bare.is_sound()


async def test_a_rebuild_from_a_file_says_what_one_from_topics_says(
    place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "history.jsonl.zst"
    finished = await place.call("export", "--out", str(file))
    assert finished.status == 0, finished
    written = len(list(jsonl.read(str(file))))
    assert finished.err.splitlines()[-1] == f"{written} records exported"
    left_out = [line for line in finished.err.splitlines() if "were left out" in line]
    assert written + sum(int(line.split(": ")[1].split()[0]) for line in left_out) == place.sent

    await place.done("rebuild", "--name", "of_file", "--from-file", str(file))
    assert await place.active() == "of_file"
    assert await place.differences("main", "of_file") == []
    await place.caught_up()
    await place.is_sound()


async def test_an_export_goes_on_where_the_last_one_ended(place: Place, tmp_path: Path) -> None:
    first, second = tmp_path / "1.jsonl.zst", tmp_path / "2.jsonl"
    assert "nothing was exported before" in await place.refused(
        "export", "--out", str(first), "--since-position"
    )
    await place.done("export", "--out", str(first))
    await place.send(history(31, size=70))
    before = first.read_bytes()
    said = await place.refused("export", "--out", str(first), "--since-position", status=2)
    assert said.startswith(f"runfold: --out: {first} is there already")
    assert first.read_bytes() == before
    await place.done("export", "--out", str(second), "--since-position")
    assert len(list(jsonl.read(str(second)))) == 70
    await place.done("export", "--out", str(tmp_path / "3.jsonl"), "--since-position")
    assert (tmp_path / "3.jsonl").read_bytes() == b""
    await place.caught_up()
    await place.done(
        "rebuild", "--name", "of_both", "--from-file", str(first), "--from-file", str(second)
    )
    assert await place.differences("main", "of_both") == []


async def test_topics_made_anew_since_are_not_taken_for_the_same(
    place: Place, tmp_path: Path
) -> None:
    await place.done("export", "--out", str(tmp_path / "1.jsonl"))
    topic = f"{place.settings.topic_prefix}run-state"
    # as if more had been read of it than it holds
    for table in ("runfold.exported", "g_main.position"):
        await place.connection.execute(
            f"UPDATE {table} SET next_offset = 5000 WHERE topic = $1 AND partition = 0", topic
        )
    second = tmp_path / "2.jsonl"
    assert await place.refused("export", "--out", str(second), "--since-position") == (
        f"runfold: {topic}[0]: the broker no longer has the records that were to be exported;"
        " leave --since-position out to export what there is"
    )
    assert not second.exists()
    said = await place.refused("rebuild", "--name", "second", "--no-activate")
    assert said.startswith(f"runfold: {topic}[0] ends at offset ")
    assert said.endswith(
        ", the active generation stands at 5000: the topic was made anew or has lost its end."
        " Restore it, or `runfold rebuild` with --allow-gap, and with --from-file if a file has"
        " what is lost"
    )
    assert await place.connection.fetchval("SELECT count(*) FROM runfold.generation") == 1


async def test_a_wrong_file_is_named_and_the_rebuild_can_be_dropped(
    place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_bytes(b'{"topic":"project","key":"p","value":null}\n{"topic":"none"}\n')
    said = await place.refused("rebuild", "--name", "wrong", "--from-file", str(file))
    assert said.startswith(f'runfold: {file}, line 2: "topic" is "none"')
    assert "error" in await place.done("status", "--json")
    await place.done("generations", "drop", "wrong")
    assert await place.active() == "main"


def projects(numbers: Iterable[int]) -> bytes:
    """Lines of events, each of a project of its own."""
    return b"".join(
        orjson.dumps({"topic": "project", "key": None, "value": event}) + b"\n"
        for event in (least("project", project_id=f"p{n}") for n in numbers)
    )


async def test_a_file_that_was_replaced_is_not_gone_on_with(bare: Place, tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(projects(range(2_000)))
    process = await bare.begun("rebuild", "--name", "g", "--from-file", str(file), "--max-rate=400")
    await bare.phase("g", ["load"])

    async def is_loading() -> bool:
        found = "SELECT max(next_offset) FROM g_g.position WHERE partition < 0"
        return bool(await bare.connection.fetchval(found))

    await until(is_loading, 60, "some lines to be loaded")
    await killed(process)
    file.write_bytes(projects(reversed(range(2_000))))
    said = await bare.refused("rebuild", "--name", "g", "--resume", status=2)
    assert said.startswith(f"runfold: {file} is not what it was when this rebuild was begun")
    file.write_bytes(projects(range(1_000)))
    await bare.refused("rebuild", "--name", "g", "--resume", status=2)

    file.write_bytes(projects(range(2_001)))
    await bare.done("rebuild", "--name", "g", "--resume", "--max-rate", "100000")
    assert await bare.connection.fetchval("SELECT count(*) FROM g_g.project") == 2_001
