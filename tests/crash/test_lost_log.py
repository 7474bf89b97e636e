"""Records that are gone from the broker: logged, counted, and never passed over in silence."""

import re

import pytest

from projector.writing.batch import Partition
from tests.crash.judge import Logged, judge, read_log
from tests.crash.site import PARTITIONS, Site
from tests.crash.traffic import Traffic
from tests.crash.workers import at_work
from tests.stack.topics import Record, create_topic, delete_records, delete_topic, send

pytestmark = pytest.mark.kafka

DROPPED = "the broker has dropped records that were never read"


async def test_a_log_that_was_made_anew_ends_the_worker(kafka_site: Site) -> None:
    anew, bootstrap = kafka_site.topic("run-state"), kafka_site.bootstrap
    async with at_work(kafka_site, 7) as (producer, fleet):
        [worker] = fleet.members
        await producer.send(300)
        await producer.drained()
        before = await kafka_site.positions()
        await delete_topic(bootstrap, anew)
        await create_topic(bootstrap, anew, PARTITIONS)
        await send(bootstrap, [Record(anew, b"k", b"{}", at) for at in range(PARTITIONS)])
        assert await worker.ended(60) == 1
    assert await kafka_site.positions() == before
    [said] = [line for line in worker.log.read_text().splitlines() if not line.startswith("{")]
    advice = "restore it, or `runfold rebuild` with --allow-gap and --from-file"
    assert re.fullmatch(rf"runfold: {re.escape(anew)}\[.*was made anew; {advice}", said)


@pytest.mark.parametrize("is_there", [False, True], ids=["while no worker runs", "before one"])
async def test_dropped_records_are_logged_and_counted(kafka_site: Site, *, is_there: bool) -> None:
    async with at_work(kafka_site, 8) as (producer, fleet):
        await producer.send(300)
        await producer.drained()
        await fleet.dismiss()
        if is_there:
            worker = fleet.start()
            await worker.assigned()
            worker.process.suspend()
        log, at, dropped = await drop_unread(kafka_site, producer)
        if is_there:
            worker.process.resume()
        else:
            worker = fleet.start()
        ends = await producer.drained()
        [line] = [line for line in worker.lines() if line["level"] == "error"]
        assert line["message"].startswith(DROPPED)
        assert Partition(line["topic"], line["partition"]) == at
        lost = range(line["from_offset"], line["to_offset"])
        # What the broker had sent out already when it dropped the rest is not lost.
        assert dropped.start <= lost.start < lost.stop == dropped.stop
        left = [each for each in log if each.partition != at or each.offset not in lost]
        await judge(kafka_site, ends, left)
        await fleet.dismiss()


async def drop_unread(site: Site, producer: Traffic) -> tuple[list[Logged], Partition, range]:
    """Send more, and have the broker drop half of what is unread of one partition.

    Returns what lay in the topics before, the partition, and the offsets of what is gone.
    """
    read = await site.positions()
    await producer.send(600)
    ends = await producer.ends()
    log = await read_log(site, ends)
    longest = max(ends, key=lambda at: ends[at] - read.get(at, 0))
    unread = read.get(longest, 0)
    first = (unread + ends[longest]) // 2
    await delete_records(site.bootstrap, *longest, first)
    return log, longest, range(unread, first)
