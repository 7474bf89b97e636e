"""A topic that was made anew: its history comes from a file, and workers go on with the new one."""

from pathlib import Path

import pytest

from contracts.errors import OperationError
from projector.kafka.topics import create_topics
from tests.histories import history
from tests.live import running_worker, settings_of
from tests.rebuild.place import on_both, place_of
from tests.stack.topics import delete_topic
from tests.stack.waiting import until

READ = "SELECT sum(next_offset)::int FROM g_third.position WHERE topic = $1 AND partition >= 0"


@on_both
async def test_a_lost_topic_is_made_up_for_by_a_file_or_done_without(
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
                return bool(await place.connection.fetchval(READ, topic) == len(more))

            await until(have_been_read, 60, "the events of the new topic to be read")
        await place.connection.execute("SET search_path = g_third")
        await place.is_sound()
