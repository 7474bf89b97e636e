"""Topics on a broker: the missing ones are made, the others looked at and left alone."""

import asyncio

import pytest
from structlog.testing import capture_logs

from contracts.errors import OperationError
from contracts.settings import KafkaSettings
from contracts.topics import TOPICS, topic_name
from projector.kafka.topics import TopicState, create_topics, partition_counts
from tests.stack.topics import create_topic

PARTITIONS = 3


def settings(bootstrap: str, prefix: str) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=bootstrap, topic_prefix=prefix)


async def test_missing_topics_are_made_and_then_are_there(
    bootstrap: str, topic_prefix: str
) -> None:
    ours = settings(bootstrap, topic_prefix)
    names = [topic_name(topic_prefix, topic.suffix) for topic in TOPICS]
    first = await create_topics(ours, PARTITIONS)
    assert [(it.name, it.state) for it in first] == [(n, TopicState.CREATED) for n in names]
    again = await create_topics(ours, PARTITIONS)
    assert [(it.name, it.state) for it in again] == [(n, TopicState.EXISTS) for n in names]
    counts = await partition_counts(ours)
    assert {counts[name] for name in names} == {PARTITIONS}


async def test_two_hosts_at_once_are_no_conflict(bootstrap: str, topic_prefix: str) -> None:
    ours = settings(bootstrap, topic_prefix)
    both = await asyncio.gather(*(create_topics(ours, PARTITIONS) for _ in range(2)))
    states = [{report.state for report in reports} for reports in zip(*both, strict=True)]
    assert TopicState.DIFFERS not in set().union(*states)
    assert all(TopicState.CREATED in of_topic for of_topic in states)


async def test_a_topic_that_differs_is_named_and_left_alone(
    bootstrap: str, topic_prefix: str
) -> None:
    name = f"{topic_prefix}project"
    await create_topic(bootstrap, name, 1, {"cleanup.policy": "delete", "retention.ms": "-1"})
    reports = await create_topics(settings(bootstrap, topic_prefix), PARTITIONS)
    (differing,) = (report for report in reports if report.state is TopicState.DIFFERS)
    assert differing.name == name
    assert differing.differences[:2] == (
        "1 partitions where 3 are asked for",
        "cleanup.policy is delete where compact is needed",
    )
    assert str(differing).startswith(f"{name}: differs: 1 partitions where 3 are asked for, ")
    assert (await partition_counts(settings(bootstrap, topic_prefix)))[name] == 1


async def test_a_broker_that_stays_away_is_waited_for_and_told_of_once() -> None:
    with (
        capture_logs() as lines,
        pytest.raises(OperationError, match=r"the broker at 127\.0\.0\.1:1 does not answer"),
    ):
        await create_topics(settings("127.0.0.1:1", "x."), 1, wait_seconds=1)
    assert [line["event"] for line in lines] == ["waiting for the broker"]
