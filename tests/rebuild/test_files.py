"""A history in a file: exported, added to, and rebuilt from."""

from pathlib import Path

from projector import jsonl
from tests.histories import history
from tests.rebuild.place import Place


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
