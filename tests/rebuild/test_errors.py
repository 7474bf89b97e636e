"""What a rebuild cannot do ends it with one line, and the active generation is untouched."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from contracts.errors import OperationError
from contracts.read_model import VERSION
from projector.generations.diff import compare
from projector.generations.processes import Job
from tests.histories import history
from tests.rebuild.place import FULL_DISK, ROOM_AGAIN, Place, in_process, on_apache
from tests.stack.topics import delete_records

READ = """
    INSERT INTO g_main.position (topic, partition, first_offset, next_offset)
    VALUES ($1, 0, 0, 5000)
"""


@pytest.mark.crash
async def test_a_full_disk_ends_it_and_room_lets_it_go_on(place: Place) -> None:
    async def on_full_disk(jobs: Sequence[Job]) -> None:
        await place.connection.execute(FULL_DISK.format(table="g_second.item", condition="true"))
        await in_process(jobs)

    wanted = "the database cannot hold the new generation: could not extend file: No space left"
    with pytest.raises(OperationError, match=wanted):
        await place.rebuild("second", on_full_disk)
    assert wanted in str((await place.known("second")).error)
    await place.is_sound(*history(61, size=10))
    assert await place.active() == "main"
    await place.connection.execute(ROOM_AGAIN)
    await place.resume("second")
    assert await place.active() == "second"
    assert await place.differences("main", "second") == []


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
    elsewhere = bare.settings.model_copy(update={"topic_prefix": "nowhere."})
    anew = "the topic was made anew or has lost its end. Restore it, or `runfold rebuild` with"
    anew += " --allow-gap, and with --from-file if a file has what is lost"
    stands = "the active generation stands at"
    missing = "there is no topic nowhere.run-state: see RUNFOLD_TOPIC_PREFIX, or run"
    for settings, read, refusal in (
        (bare.settings, f"another.{topic}", "which RUNFOLD_TOPIC_PREFIX does not mean"),
        (bare.settings, topic, f"[0] ends at offset 0, {stands} 5000: {anew}"),
        (elsewhere, "nowhere.run-state", f"{missing} `runfold topics`"),
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
    place.sent -= 3  # which the broker has dropped, so that this generation begins after them
    await place.is_sound(*history(62, size=10))
