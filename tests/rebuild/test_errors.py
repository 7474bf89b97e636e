"""What a rebuild cannot do ends it with one line, and the active generation is untouched."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from contracts.errors import OperationError
from contracts.read_model import VERSION
from projector.generations.diff import compare
from projector.generations.processes import Job
from tests.histories import history
from tests.rebuild.brokers import on_apache
from tests.rebuild.disk import small_disk
from tests.rebuild.place import Place, in_process
from tests.rebuild.work import held
from tests.stack.topics import delete_records

FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON g_second.item EXECUTE FUNCTION full_disk()
"""


READ = """
    INSERT INTO g_main.position (topic, partition, first_offset, next_offset)
    VALUES ($1, 0, 0, 5000)
"""


@pytest.mark.crash
async def test_a_full_disk_ends_it_and_room_lets_it_go_on(place: Place) -> None:
    async def on_full_disk(jobs: Sequence[Job]) -> None:
        await place.connection.execute(FULL)
        await in_process(jobs)

    wanted = "the database cannot hold the new generation: could not extend file: No space left"
    with pytest.raises(OperationError, match=wanted):
        await place.rebuild("second", on_full_disk)
    assert wanted in str((await place.known("second")).error)
    await place.send(history(61, size=10))
    await place.caught_up()
    await place.is_sound()
    assert await place.active() == "main"
    await place.connection.execute("DROP FUNCTION full_disk CASCADE")
    await place.resume("second")
    assert await place.active() == "second"
    assert await place.differences("main", "second") == []


@pytest.mark.crash
async def test_a_disk_that_is_really_full_ends_it(place: Place) -> None:
    # below a directory that everybody may enter, as the server's user has to
    directory = Path(tempfile.gettempdir(), f"runfold-small-{uuid4().hex}")
    async with small_disk(place.connection, place.settings.database_url, directory) as disk:
        async with held(place, "second") as rebuilding:
            disk.fill()
        with pytest.raises(OperationError, match=r"the database cannot hold .*: could not extend"):
            await rebuilding
        assert await place.active() == "main"
        await place.is_sound()
        disk.empty()
        await place.drop("second")


async def test_generations_of_another_version_are_only_dropped_or_rebuilt(bare: Place) -> None:
    await bare.rebuild("second", activate=False)
    old = "UPDATE runfold.generation SET read_model = $1"
    await bare.connection.execute(f"{old} WHERE name = 'second'", VERSION - 1)
    wanted = f"generation 'second' has read model {VERSION - 1}, this version needs {VERSION}"
    comparing = compare(bare.settings.database_url, "main", "second")
    for refused in (bare.resume("second"), bare.activate("second"), comparing):
        with pytest.raises(OperationError, match=wanted):
            await refused
    await bare.drop("second")

    await bare.connection.execute(old, VERSION - 1)
    await bare.rebuild("third")
    assert await bare.states() == {"main": "standing by", "third": "active"}


async def test_topics_that_do_not_fit_the_active_generation_are_named(bare: Place) -> None:
    topic = f"{bare.settings.topic_prefix}run-state"
    for settings, read, refusal in (
        (bare.settings, f"another.{topic}", "which RUNFOLD_TOPIC_PREFIX does not mean"),
        (
            bare.settings,
            topic,
            "[0] ends at offset 0, the active generation stands at 5000: the topic was made anew"
            " or has lost its end. Restore it, or `runfold rebuild` with --allow-gap, and with"
            " --from-file if a file has what is lost",
        ),
        (
            bare.settings.model_copy(update={"topic_prefix": "nowhere."}),
            "nowhere.run-state",
            "there is no topic nowhere.run-state: see RUNFOLD_TOPIC_PREFIX, or run"
            " `runfold topics`",
        ),
    ):
        bare.settings = settings
        await bare.connection.execute("DELETE FROM g_main.position")
        await bare.connection.execute(READ, read)
        with pytest.raises(OperationError) as refused:
            await bare.rebuild("second", activate=False)
        assert str(refused.value).endswith(refusal)
    assert await bare.states() == {"main": "active"}


@on_apache
async def test_what_the_broker_has_dropped_is_named(place: Place, tmp_path: Path) -> None:
    file, others = tmp_path / "history.jsonl.zst", tmp_path / "others.jsonl"
    others.write_bytes(b'{"topic":"project","key":"p","value":null}\n')
    await place.rebuild("whole", activate=False)
    await place.export(file)
    topic = f"{place.settings.topic_prefix}run-state"
    await delete_records(place.settings.kafka_bootstrap, topic, 0, 3)
    for files in ((), (others,)):
        with pytest.raises(OperationError) as refused:
            await place.rebuild("second", files=files)
        assert str(refused.value) == (
            f"{topic}[0] begins at offset 3, what is needed at 0: the broker has dropped it."
            " `runfold rebuild` with --from-file, if a file has it, or with --allow-gap to do"
            " without"
        )
    assert await place.states() == {"main": "active", "whole": "standing by"}

    await place.rebuild("of_file", files=(file,))
    assert await place.differences("whole", "of_file") == []
    await place.rebuild("gap", allow_gap=True)
    assert await place.active() == "gap"
    await place.send(history(62, size=10))
    place.sent -= 3  # which the broker has dropped, so that this generation begins after them
    await place.caught_up()
    await place.is_sound()
