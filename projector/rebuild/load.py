"""Read records from topics or files and copy their facts into the generation."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.errors import OperationError
from contracts.settings import KafkaSettings, kafka_connection
from contracts.topics import topic_name
from projector import jsonl
from projector.applying import Applier, slices
from projector.batch import Partition, Record
from projector.rebuild.plan import Span, file_partition

RECORDS_AT_ONCE: Final = 10_000
BYTES_AT_ONCE: Final = 8 * 1_048_576
POLL_MS: Final = 500


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


async def load_topics(
    settings: KafkaSettings, applier: Applier, share: Mapping[Partition, Span], pace: Pace
) -> None:
    """Load these partitions up to their ends, from where the generation stands.

    Raises what `Applier.apply` raises, KafkaError when the broker is away at the start.
    """
    async for records in _topics(settings, applier, share):
        await _apply(applier, records, pace)


async def load_file(prefix: str, applier: Applier, index: int, path: Path, pace: Pace) -> None:
    """Load a file, from where the generation stands. Raises `UsageError` for a wrong line."""
    lines = _lines(prefix, index, path)
    while records := [*islice(lines, RECORDS_AT_ONCE)]:
        await _apply(applier, records, pace)


async def _apply(applier: Applier, records: Sequence[Record], pace: Pace) -> None:
    for part in slices(records, BYTES_AT_ONCE):
        await applier.apply(part)
        await pace.after(len(part))
    if os.getppid() == 1:
        raise OperationError("the rebuild that this loader belongs to has ended")


def _lines(prefix: str, index: int, path: Path) -> Iterator[Record]:
    for line in jsonl.read(str(path)):
        partition = file_partition(index, topic_name(prefix, line.topic))
        yield Line(*partition, line.number - 1, line.key, line.value)


async def _topics(
    settings: KafkaSettings, applier: Applier, share: Mapping[Partition, Span]
) -> AsyncIterator[list[Record]]:
    """Yield what the partitions hold before their ends, poll by poll."""
    consumer = AIOKafkaConsumer(
        **kafka_connection(settings),
        client_id="runfold rebuild",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=BYTES_AT_ONCE,
        max_partition_fetch_bytes=BYTES_AT_ONCE // 8,
    )
    await consumer.start()
    try:
        left = {p for p, span in share.items() if applier.positions[p] < span.end}
        consumer.assign([TopicPartition(*p) for p in left])
        for partition in left:
            consumer.seek(TopicPartition(*partition), applier.positions[partition])
        while left:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE)
            yield [
                record
                for records in polled.values()
                for record in records
                if record.offset < share[Partition(record.topic, record.partition)].end
            ]
            for partition in [*left]:
                here = TopicPartition(*partition)
                if await consumer.position(here) >= share[partition].end:
                    consumer.pause(here)
                    left.discard(partition)
    finally:
        await consumer.stop()
