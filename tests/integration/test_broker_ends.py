"""How far the partitions reach, by the broker's own word."""

from contracts.settings import KafkaSettings
from projector.jsonl import Record
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import create_topics
from projector.operations.status import broker_ends

PARTITIONS = 2
RECORDS = 3


async def test_the_ends_of_all_our_partitions_and_of_no_others(
    bootstrap: str, topic_prefix: str
) -> None:
    settings = KafkaSettings(kafka_bootstrap=bootstrap, topic_prefix=topic_prefix)
    assert await broker_ends(settings) == {}
    reports = await create_topics(settings, PARTITIONS)
    # One at a time: after a batch of several the embedded broker calls the end too low.
    for number in range(RECORDS):
        await publish(settings, paced([Record(number, "project", b"p", b"{}")], None), "record")
    ends = await broker_ends(settings)
    assert ends.keys() == {(it.name, n) for it in reports for n in range(PARTITIONS)}
    written = [end for end in ends.values() if end]
    assert written == [RECORDS]
