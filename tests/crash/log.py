"""What lies in the topics: the judge believes the log, not the producer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from projector.writing.batch import Partition
from tests.crash.site import PARTITIONS, SUFFIXES, Site
from tests.reference import Record

Ends = Mapping[Partition, int]
"""The position after the last record of each partition."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A record and its place."""

    partition: Partition
    offset: int
    record: Record


async def ends_of(site: Site) -> Ends:
    """The ends the broker names; the embedded broker's lie low."""
    partitions = [
        TopicPartition(site.topic(suffix), number)
        for suffix in SUFFIXES
        for number in range(PARTITIONS)
    ]
    async with _reader(site) as reader:
        ends = await reader.end_offsets(partitions)
    return {Partition(*at): end for at, end in ends.items()}


async def read_log(site: Site, ends: Ends) -> list[Logged]:
    """Every record before these ends that the broker still holds."""
    unread = {TopicPartition(*at): end for at, end in ends.items() if end > 0}
    if not unread:
        # nor could aiokafka stop a consumer that was never asked for anything
        return []
    async with _reader(site) as reader:
        reader.assign(list(unread))
        await reader.seek_to_beginning()
        logged: list[Logged] = []
        while unread:
            for at, records in (await reader.getmany(timeout_ms=200)).items():
                suffix = at.topic.removeprefix(site.prefix)
                logged += [
                    Logged(Partition(*at), each.offset, Record(suffix, _text(each.key), each.value))
                    for each in records
                    if each.offset < ends[Partition(*at)]
                ]
            positions = {at: await reader.position(at) for at in unread}
            unread = {at: end for at, end in unread.items() if positions[at] < end}
        return logged


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode()


@asynccontextmanager
async def _reader(site: Site) -> AsyncIterator[AIOKafkaConsumer]:
    reader = AIOKafkaConsumer(
        bootstrap_servers=site.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # A value over the limit of an event is read as well.
        max_partition_fetch_bytes=4 * 1_048_576,
    )
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()
