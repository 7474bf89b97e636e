"""The Apache Kafka harness: a broker that restarts, crashes and pauses as a real one does."""

import asyncio
import shutil
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from projector.demo.server_process import ServerError
from tests.kafka import jars
from tests.kafka.server import KafkaServer
from tests.stack.group import member
from tests.stack.topics import Record, create_topic, read, send
from tests.stack.waiting import until


@pytest.fixture
async def kafka_topic(kafka: KafkaServer, topic_prefix: str) -> str:
    """A topic of one partition on an Apache Kafka that can be stopped and killed."""
    name = f"{topic_prefix}topic"
    await create_topic(kafka.bootstrap, name)
    return name


@pytest.mark.kafka
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_kafka_keeps_records_and_offsets_over_a_restart(
    kafka: KafkaServer, kafka_topic: str, topic_prefix: str, end: str
) -> None:
    bootstrap, here = kafka.bootstrap, TopicPartition(kafka_topic, 0)
    await send(bootstrap, [Record(kafka_topic, b"k", b"%d" % n) for n in range(100)])
    async with member(bootstrap, kafka_topic, topic_prefix) as before:
        await before.commit({here: 42})

    await asyncio.to_thread(kafka.kill if end == "kill" else kafka.stop)
    assert not kafka.running
    await asyncio.to_thread(kafka.start)

    assert kafka.bootstrap == bootstrap
    values = [record.value for record in await read(bootstrap, kafka_topic, 0, end=100)]
    assert values == [b"%d" % n for n in range(100)]
    assert await send(bootstrap, [Record(kafka_topic, b"k", b"next")]) == [100]
    async with member(bootstrap, kafka_topic, topic_prefix) as after:
        assert await after.committed(here) == 42


@pytest.mark.kafka
async def test_kafka_answers_when_it_is_resumed(kafka: KafkaServer, kafka_topic: str) -> None:
    kafka.pause()
    try:
        sending = asyncio.create_task(send(kafka.bootstrap, [Record(kafka_topic, b"k", b"v")]))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
    finally:
        kafka.resume()
    assert await sending == [0]


@pytest.mark.kafka
async def test_kafka_compacts_within_seconds(kafka: KafkaServer, topic_prefix: str) -> None:
    name = f"{topic_prefix}compacted"
    configs = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0"}
    await create_topic(kafka.bootstrap, name, configs=configs)
    for n in range(5):
        await send(kafka.bootstrap, [Record(name, b"same", b"%d" % n)])

    async def compacted() -> bool:
        [end] = await send(kafka.bootstrap, [Record(name, b"other", b"roll")])
        offsets = [record.offset for record in await read(kafka.bootstrap, name, 0, end + 1)]
        return not {0, 1, 2, 3} & set(offsets) and 4 in offsets

    await until(compacted, 60, "the older values to be compacted away")


def test_of_two_racing_copies_the_first_is_kept(tmp_path: Path) -> None:
    for copy, jar in (("first", "a.jar"), ("second", "b.jar")):
        (tmp_path / copy).mkdir()
        (tmp_path / copy / jar).touch()
        jars._publish(tmp_path / copy, tmp_path / "jars")
    assert [path.name for path in (tmp_path / "jars").iterdir()] == ["a.jar"]


def test_a_copy_that_fails_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho '[ERROR] no such version'\necho '[ERROR] more'\nexit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(jars, "_CACHE", tmp_path / "cache")
    with pytest.raises(
        ServerError, match=r"could not copy Kafka's jars: \[ERROR\] no such version$"
    ):
        jars.kafka_jars()
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "mvn" else f"/bin/{tool}")
    assert jars.missing_tools() == ["mvn"]
