"""Read records from topics or files and hand them to the generation's applier."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.settings import KafkaSettings, kafka_connection
from contracts.topics import topic_name
from projector import jsonl
from projector.applying import Applier, slices
from projector.batch import Partition, Record
from projector.rebuild.plan import file_partition

RECORDS_AT_ONCE: Final = 10_000
BYTES_AT_ONCE: Final = 8 * 1_048_576
POLL_MS: Final = 200


@dataclass(slots=True)
class Line:
    """A line of a file, as a record of its topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Pace:
    """Holds a loader to its share of `--max-rate`."""

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._began = time.monotonic()
        self._events = 0

    async def after(self, events: int) -> None:
        """Wait until these events, too, are within the rate."""
        self._events += events
        if self._per_second is not None:
            due = self._began + self._events / self._per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))


class TopicReader:
    """Reads partitions on from where an applier stands, without a consumer group."""

    def __init__(self, kafka: AIOKafkaConsumer, applier: Applier, pace: Pace) -> None:
        self._kafka = kafka
        self._applier = applier
        self._pace = pace

    async def up_to(self, ends: Mapping[Partition, int]) -> None:
        """Apply what the partitions hold before `ends`, and nothing after.

        Raises what `Applier.apply` raises.
        """
        for partition in ends:
            # what was fetched beyond the last ends is fetched again
            self._kafka.seek(TopicPartition(*partition), self._applier.positions[partition])
        left = {TopicPartition(*p): end for p, end in ends.items()}
        while left := {p: end for p, end in left.items() if await self._kafka.position(p) < end}:
            polled = await self._kafka.getmany(
                *left, timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE
            )
            records = [
                record
                for partition, fetched in polled.items()
                for record in fetched
                if record.offset < left[partition]
            ]
            await apply(self._applier, records, self._pace)


@asynccontextmanager
async def reading(
    settings: KafkaSettings, applier: Applier, pace: Pace
) -> AsyncIterator[TopicReader]:
    """A reader of the applier's partitions. Raises KafkaError when the broker is away."""
    kafka = AIOKafkaConsumer(
        **kafka_connection(settings),
        client_id="runfold rebuild",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=BYTES_AT_ONCE,
        max_partition_fetch_bytes=BYTES_AT_ONCE // 8,
    )
    await kafka.start()
    try:
        own = {p: at for p, at in applier.positions.items() if p.partition >= 0}
        kafka.assign([TopicPartition(*p) for p in own])
        for partition, at in own.items():
            kafka.seek(TopicPartition(*partition), at)
        yield TopicReader(kafka, applier, pace)
    finally:
        await kafka.stop()


async def load_file(prefix: str, applier: Applier, index: int, path: Path, pace: Pace) -> None:
    """Load a file, from where the generation stands. Raises `UsageError` for a wrong line."""
    lines = _lines(prefix, index, path)
    while records := [*islice(lines, RECORDS_AT_ONCE)]:
        await apply(applier, records, pace)


async def apply(applier: Applier, records: Sequence[Record], pace: Pace) -> None:
    """Apply records, a bounded number of bytes at a time, no faster than the pace."""
    for part in slices(records, BYTES_AT_ONCE):
        await applier.apply(part)
        await pace.after(len(part))


def _lines(prefix: str, index: int, path: Path) -> Iterator[Record]:
    for line in jsonl.read(str(path)):
        partition = file_partition(index, topic_name(prefix, line.topic))
        yield Line(*partition, line.number - 1, line.key, line.value)
