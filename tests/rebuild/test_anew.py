"""A topic that was made anew: its history comes from a file, and workers go on with the new one."""

from pathlib import Path

from projector.kafka.topics import create_topics
from tests.histories import history
from tests.live import running_worker, settings_of
from tests.rebuild.place import place_of
from tests.stack.topics import delete_topic
from tests.stack.waiting import until

READ = "SELECT sum(next_offset)::int FROM g_second.position WHERE topic = $1 AND partition >= 0"


async def test_a_lost_topic_is_made_up_for_by_a_file(
    database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    topic, file = f"{topic_prefix}run-state", str(tmp_path / "history.jsonl")
    async with place_of(settings) as place:
        async with running_worker(settings):
            await place.send(history(21, size=400))
            await place.caught_up()
        await place.done("export", "--out", file)
        await delete_topic(bootstrap, topic)
        await create_topics(settings, settings.partitions)
        said = await place.refused("rebuild", "--name", "second", "--from-file", file)
        assert "ends at offset 0, the active generation stands at" in said
        await place.done(
            "rebuild", "--name", "second", "--from-file", file, "--allow-gap", "--verify"
        )
        assert await place.active() == "second"
        assert await place.differences("main", "second") == []
        async with running_worker(settings):
            more = [each for each in history(22, size=300) if each.topic == "run-state"]
            await place.send(more)

            async def have_been_read() -> bool:
                return bool(await place.connection.fetchval(READ, topic) == len(more))

            await until(have_been_read, 60, "the events of the new topic to be read")
        await place.connection.execute("SET search_path = g_second")
        await place.is_sound()


async def test_what_was_made_without_the_lost_events_is_activated_later(
    database_url: str, bootstrap: str, topic_prefix: str
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    async with place_of(settings) as place:
        async with running_worker(settings):
            await place.send(history(21, size=100))
            await place.caught_up()
        await delete_topic(bootstrap, f"{topic_prefix}run-state")
        await create_topics(settings, settings.partitions)
        await place.done("rebuild", "--name", "second", "--allow-gap", "--no-activate")
        await place.done("generations", "activate", "second")
        assert await place.active() == "second"
