"""Records that are gone from the broker: told, counted, and never passed over in silence."""

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from projector.batch import Partition
from tests.crash.judge import judge
from tests.crash.log import Logged, read_log
from tests.crash.progress import drained, positions
from tests.crash.site import PARTITIONS, Site
from tests.crash.story import story
from tests.crash.traffic import Traffic, traffic
from tests.crash.workers import Worker, fleet_of
from tests.stack.topics import Record, create_topic, send
from tests.stack.waiting import until

pytestmark = pytest.mark.kafka

DROPPED = "the broker has dropped records that were never read"


async def test_a_log_that_was_made_anew_ends_the_worker(kafka_site: Site) -> None:
    anew = kafka_site.topic("run-state")
    async with traffic(kafka_site, story(7), idempotent=True) as producer:
        with fleet_of(1, kafka_site) as fleet:
            [worker] = fleet.members
            await producer.send(300)
            await drained(kafka_site, producer, 60)
            before = await positions(kafka_site)
            await make_anew(kafka_site, anew)
            assert await worker.ended(60) == 1
    assert await positions(kafka_site) == before
    [said] = worker.last_words()
    assert said.startswith(f"runfold: {anew}[")
    assert said.endswith("was made anew; rebuild the views or restore the topic")


async def test_records_dropped_while_no_worker_runs_are_told_and_counted(kafka_site: Site) -> None:
    async with traffic(kafka_site, story(8), idempotent=True) as producer:
        with fleet_of(1, kafka_site) as fleet:
            await producer.send(300)
            await drained(kafka_site, producer, 60)
            await fleet.dismiss()
            log = await all_but_dropped(kafka_site, producer)
            worker = fleet.start()
            await judge(kafka_site, await drained(kafka_site, producer, 60), log)
            await fleet.dismiss()
    assert_told(worker, log)


async def test_records_dropped_before_a_worker_at_rest_are_told_and_counted(
    kafka_site: Site,
) -> None:
    async with traffic(kafka_site, story(9), idempotent=True) as producer:
        with fleet_of(1, kafka_site) as fleet:
            await producer.send(300)
            await drained(kafka_site, producer, 60)
            await fleet.dismiss()
            worker = fleet.start()
            await worker.assigned()
            worker.pause()
            log = await all_but_dropped(kafka_site, producer)
            worker.resume()
            await judge(kafka_site, await drained(kafka_site, producer, 60), log)
            await fleet.dismiss()
    assert_told(worker, log)


async def make_anew(site: Site, topic: str) -> None:
    """Delete the topic and create it again, with one record in each partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=site.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await until(gone, 30, "the topic to be gone")
    finally:
        await admin.close()
    await create_topic(site.bootstrap, topic, PARTITIONS)
    await send(site.bootstrap, [Record(topic, b"k", b"{}", number) for number in range(PARTITIONS)])


async def all_but_dropped(site: Site, producer: Traffic) -> list[Logged]:
    """Send more, have the broker drop some of it unread, and return what can be known."""
    read = await positions(site)
    await producer.send(600)
    ends = await producer.ends()
    log = await read_log(site, ends)
    longest = max(ends, key=lambda at: ends[at] - read[at])
    first = (read[longest] + ends[longest]) // 2
    await drop(site, longest, first)
    return [
        each
        for each in log
        if each.partition != longest or not read[longest] <= each.offset < first
    ]


async def drop(site: Site, partition: Partition, first: int) -> None:
    """Have the broker drop what lies before `first`, as it does to what is too old."""
    admin = AIOKafkaAdminClient(bootstrap_servers=site.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(*partition): RecordsToDelete(first)})
    finally:
        await admin.close()


def assert_told(worker: Worker, log: list[Logged]) -> None:
    """One error line, which names the very offsets that are missing from the log."""
    [line] = [line for line in worker.lines() if line["level"] == "error"]
    assert line["message"].startswith(DROPPED)
    partition = Partition(line["topic"], line["partition"])
    offsets = [each.offset for each in log if each.partition == partition]
    dropped = range(line["from_offset"], line["to_offset"])
    assert dropped
    assert offsets == [offset for offset in range(offsets[-1] + 1) if offset not in dropped]
