"""Readers of the log without a group: what becomes of one that has nothing to read."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from contracts.settings import KafkaSettings
from projector.kafka.log_reader import log_reader, topic_by_topic


async def test_one_that_is_asked_for_nothing_ends_without_a_fault(bootstrap: str) -> None:
    async with log_reader(KafkaSettings(kafka_bootstrap=bootstrap), "test") as kafka:
        assert not kafka.assignment()


async def test_a_broker_that_is_away_is_a_fault_of_the_client(unused_tcp_port: int) -> None:
    settings = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{unused_tcp_port}")
    with pytest.raises(KafkaError):
        async with log_reader(settings, "test"):
            pass


async def test_of_what_is_asked_for_all_topics_nothing_goes_on_when_one_fails() -> None:
    ended = asyncio.Event()

    async def ask(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if partitions[0].topic == "refused":
            raise TopicAuthorizationFailedError("refused")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("unreachable")

    with pytest.raises(TopicAuthorizationFailedError):
        await topic_by_topic(ask, [TopicPartition("silent", 0), TopicPartition("refused", 0)])
    assert ended.is_set()


async def test_what_is_told_of_each_topic_is_told_of_all() -> None:
    wanted = [TopicPartition(name, number) for name in ("one", "two") for number in range(3)]
    asked = []

    async def ask(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        asked.append({each.topic for each in partitions})
        return {each: each.partition for each in partitions}

    assert await topic_by_topic(ask, wanted) == {each: each.partition for each in wanted}
    assert asked == [{"one"}, {"two"}]
