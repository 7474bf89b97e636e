"""What a rebuild cannot do it says in one line, and the active generation is untouched."""

import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from contracts.read_model import VERSION
from tests.histories import history
from tests.rebuild.disk import small_disk
from tests.rebuild.place import Place
from tests.stack.topics import delete_records

FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END $$
"""


async def test_a_full_disk_ends_it_and_room_lets_it_go_on(place: Place) -> None:
    process = await place.begun("rebuild", "--name", "second", "--max-rate", "20")
    await place.phase("second", ["load"])
    await place.connection.execute(FULL)
    await place.connection.execute(
        "CREATE TRIGGER full_disk BEFORE INSERT ON g_second.item EXECUTE FUNCTION full_disk()"
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    wanted = "the database cannot hold the new generation: could not extend file: No space left"
    assert wanted in said.decode().splitlines()[-1]
    assert "Traceback" not in said.decode()
    assert wanted in await place.done("status")
    await place.send(history(61, size=10))
    await place.caught_up()
    await place.is_sound()
    assert await place.active() == "main"

    await place.connection.execute("DROP FUNCTION full_disk CASCADE")
    await place.connection.execute(
        "UPDATE runfold.rebuild SET options = (options::jsonb - 'max_rate')::json"
    )
    await place.done("rebuild", "--name", "second", "--resume")
    assert await place.differences("main", "second") == []


async def test_a_disk_that_is_really_full_ends_it(place: Place) -> None:
    # below a directory that everybody may enter, as the server's user has to
    directory = Path(tempfile.gettempdir(), f"runfold-small-{uuid4().hex}")
    async with small_disk(place.connection, place.settings.database_url, directory) as disk:
        process = await place.begun("rebuild", "--name", "second", "--max-rate", "20")
        await place.phase("second", ["load"])
        disk.fill()
        _, said = await process.communicate()
        assert process.returncode == 1
        assert "the database cannot hold the new generation: could not extend" in said.decode()
        assert "Traceback" not in said.decode()
        assert await place.active() == "main"
        await place.is_sound()
        disk.empty()
        await place.done("generations", "drop", "second")


async def test_a_migration_since_ends_it(place: Place) -> None:
    await place.done("rebuild", "--name", "second", "--no-activate")
    await place.connection.execute(
        "UPDATE runfold.generation SET read_model = $1 WHERE name = 'second'", VERSION - 1
    )
    wanted = (
        f"runfold: generation 'second' has read model {VERSION - 1}, this version needs {VERSION}:"
        " run `runfold rebuild`"
    )
    for command in (
        ["rebuild", "--name", "second", "--resume"],
        ["generations", "activate", "second"],
        ["generations", "diff", "main", "second"],
    ):
        assert await place.refused(*command) == wanted
    assert await place.active() == "main"
    await place.done("generations", "drop", "second")


async def test_an_active_generation_of_an_older_version_is_rebuilt(place: Place) -> None:
    await place.connection.execute("UPDATE runfold.generation SET read_model = $1", VERSION - 1)
    await place.done("rebuild", "--name", "second")
    assert await place.active() == "second"
    await place.caught_up()
    await place.is_sound()


async def test_topics_that_are_not_there_or_not_ours_are_named(place: Place) -> None:
    prefix = place.settings.topic_prefix
    place.settings = place.settings.model_copy(update={"topic_prefix": "nowhere."})
    assert (await place.refused("rebuild", "--name", "second")).endswith(
        "which RUNFOLD_TOPIC_PREFIX does not mean"
    )
    await place.connection.execute("DELETE FROM g_main.position")
    assert await place.refused("rebuild", "--name", "second") == (
        "runfold: there is no topic nowhere.run-state: see RUNFOLD_TOPIC_PREFIX, or run"
        " `runfold topics`"
    )
    assert prefix != "nowhere."
    assert await place.connection.fetchval("SELECT count(*) FROM runfold.generation") == 1


@pytest.mark.parametrize(
    "bootstrap", [pytest.param("apache", marks=pytest.mark.kafka)], indirect=True
)
async def test_what_the_broker_has_dropped_is_named(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("history")
    file, others = directory / "history.jsonl.zst", directory / "others.jsonl"
    others.write_bytes(b'{"topic":"project","key":"p","value":null}\n')
    await place.done("rebuild", "--name", "whole", "--no-activate")
    await place.done("export", "--out", str(file))
    topic = f"{place.settings.topic_prefix}run-state"
    await delete_records(place.settings.kafka_bootstrap, topic, 0, 3)
    wanted = (
        f"runfold: {topic}[0] begins at offset 3, what is needed at 0: the broker has dropped it."
        " `runfold rebuild` with --from-file, if a file has it, or with --allow-gap to do without"
    )
    assert await place.refused("rebuild", "--name", "second") == wanted
    assert await place.refused("rebuild", "--from-file", str(others)) == wanted
    exported = "UPDATE runfold.exported SET next_offset = $1 WHERE topic = $2 AND partition = 0"
    await place.connection.execute(exported, 2, topic)
    hole = wanted.replace("needed at 0", "needed at 2")
    assert await place.refused("rebuild", "--from-file", str(file)) == hole
    await place.connection.execute(exported, 3, topic)
    assert await place.connection.fetchval("SELECT count(*) FROM runfold.generation") == 2

    await place.done("rebuild", "--name", "of_file", "--from-file", str(file))
    assert await place.differences("whole", "of_file") == []
    await place.done("rebuild", "--name", "gap", "--allow-gap")
    assert await place.active() == "gap"
    await place.send(history(62, size=10))
    place.sent -= 3  # which the broker has dropped, so that this generation begins after them
    await place.caught_up()
    await place.is_sound()
