"""Records that are gone from the broker: told, counted, and never passed over in silence."""

from dataclasses import dataclass

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from projector.writing.batch import Partition
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
    assert said.endswith(
        "was made anew; restore it, or `runfold rebuild` with --allow-gap and --from-file"
    )


async def test_records_dropped_while_no_worker_runs_are_told_and_counted(kafka_site: Site) -> None:
    async with traffic(kafka_site, story(8), idempotent=True) as producer:
        with fleet_of(1, kafka_site) as fleet:
            await producer.send(300)
            await drained(kafka_site, producer, 60)
            await fleet.dismiss()
            dropped = await drop_unread(kafka_site, producer)
            worker = fleet.start()
            ends = await drained(kafka_site, producer, 60)
            await judge(kafka_site, ends, dropped.all_but_told(worker))
            await fleet.dismiss()


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
            dropped = await drop_unread(kafka_site, producer)
            worker.resume()
            ends = await drained(kafka_site, producer, 60)
            await judge(kafka_site, ends, dropped.all_but_told(worker))
            await fleet.dismiss()


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


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the broker has dropped of one partition, and what lay in the topics before."""

    log: list[Logged]
    partition: Partition
    unread: int
    """The first offset that no worker had read by then."""
    first: int
    """The first offset that is left."""

    def all_but_told(self, worker: Worker) -> list[Logged]:
        """The log but for what the worker says is lost, in one line that names its offsets.

        What the broker had sent out already when it dropped the rest is not lost.
        """
        [line] = [line for line in worker.lines() if line["level"] == "error"]
        assert line["message"].startswith(DROPPED)
        assert Partition(line["topic"], line["partition"]) == self.partition
        assert self.unread <= line["from_offset"] < line["to_offset"] == self.first
        lost = range(line["from_offset"], line["to_offset"])
        return [
            each for each in self.log if each.partition != self.partition or each.offset not in lost
        ]


async def drop_unread(site: Site, producer: Traffic) -> Dropped:
    """Send more, and have the broker drop some of it unread."""
    read = await positions(site)
    await producer.send(600)
    ends = await producer.ends()
    log = await read_log(site, ends)
    longest = max(ends, key=lambda at: ends[at] - read[at])
    first = (read[longest] + ends[longest]) // 2
    await drop(site, longest, first)
    return Dropped(log, longest, read[longest], first)


async def drop(site: Site, partition: Partition, first: int) -> None:
    """Have the broker drop what lies before `first`, as it does to what is too old."""
    admin = AIOKafkaAdminClient(bootstrap_servers=site.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(*partition): RecordsToDelete(first)})
    finally:
        await admin.close()
