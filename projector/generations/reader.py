"""Read partitions on from where a generation stands, without a consumer group."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from contracts.errors import OperationError
from contracts.settings import KafkaSettings
from projector.errors import PositionBeyondLog, PositionConflict
from projector.generations.pace import Pace
from projector.generations.plan import HistoryIncomplete
from projector.generations.standing import Standing
from projector.kafka.log_reader import Silence, log_reader
from projector.writing.applying import slices
from projector.writing.batch import Partition

RECORDS_AT_ONCE: Final = 10_000
WRITTEN_AT_ONCE: Final = 2_500
"""Records of one transaction, while which the next are decoded."""
BYTES_AT_ONCE: Final = 8 * 1_048_576
PARTITION_BYTES: Final = 1_048_576
POLL_MS: Final = 200
FETCH_MS: Final = 50

Ends = Mapping[Partition, int]
"""Offsets up to which partitions are read, these not included."""

Polled = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Reader:
    """Reads partitions and applies what they hold."""

    def __init__(self, kafka: AIOKafkaConsumer, standing: Standing, *, allow_gap: bool) -> None:
        self._kafka = kafka
        self._standing = standing
        self._applier = standing.applier
        self._allow_gap = allow_gap

    async def up_to(self, ends: Ends, pace: Pace) -> None:
        """Apply what the partitions hold before `ends`, and nothing after.

        Offsets that the broker has no record for (compaction, a transaction's markers) count as
        gaps. Raises `HistoryIncomplete` where records were dropped that have not been read,
        `PositionBeyondLog`, and what `Applier.apply` raises.
        """
        if not (left := await self._go_on(ends)):
            return
        silence = Silence()
        while left := {p: end for p, end in left.items() if await self._kafka.position(p) < end}:
            try:
                polled = await self._kafka.getmany(
                    *left, timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE
                )
                silence.polled(found=bool(polled))
                await self._apply(polled, left, pace)
                await self._check_logs(left)
            except OffsetOutOfRangeError as gone:
                await self._over_gaps([Partition(*each) for each in gone.args[0]])
            except PositionConflict:
                # a worker keeps this generation up to date, too
                await self._standing.again(Partition(*each) for each in left)
                self._seek(Partition(*each) for each in left)
        for partition, end in ends.items():
            if self._applier.positions[partition] < end:
                await self._standing.skip(partition, end)

    async def _go_on(self, ends: Ends) -> dict[TopicPartition, int]:
        """Take in partitions that are new; have those that are behind read on."""
        if unknown := ends.keys() - self._applier.positions.keys():
            await self._standing.begin(dict.fromkeys(unknown, 0))
        behind = {p: end for p, end in ends.items() if self._applier.positions[p] < end}
        if not behind:
            return {}
        # what was fetched beyond the last ends is fetched again
        self._kafka.assign([TopicPartition(*partition) for partition in behind])
        self._seek(behind)
        return {TopicPartition(*partition): end for partition, end in behind.items()}

    def _seek(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._kafka.seek(TopicPartition(*partition), self._applier.positions[partition])

    async def _apply(self, polled: Polled, ends: Mapping[TopicPartition, int], pace: Pace) -> None:
        records = [
            record
            for partition, fetched in polled.items()
            for record in fetched
            if record.offset < ends[partition]
        ]
        for part in slices(records, BYTES_AT_ONCE, pace.at_once(WRITTEN_AT_ONCE)):
            await self._applier.apply_all([part])
            await pace.after(len(part))

    async def _over_gaps(self, gone: Sequence[Partition]) -> None:
        """Go to the first offsets of partitions whose beginning was dropped, if that is allowed."""
        first = await self._kafka.beginning_offsets([TopicPartition(*each) for each in gone])
        for partition in gone:
            position, begins = self._applier.positions[partition], first[TopicPartition(*partition)]
            if begins <= position:
                raise PositionBeyondLog(*partition, position)
            if not self._allow_gap:
                raise HistoryIncomplete(partition, position, begins)
            await self._standing.skip(partition, begins)
        self._seek(gone)

    async def _check_logs(self, ends: Mapping[TopicPartition, int]) -> None:
        """Raise `PositionBeyondLog` where the log ends before the end that is to be reached."""
        for partition, end in ends.items():
            last = self._kafka.highwater(partition)
            if last is not None and last < end and await self._kafka.position(partition) >= last:
                raise PositionBeyondLog(partition.topic, partition.partition, end)


@asynccontextmanager
async def reading(
    settings: KafkaSettings, standing: Standing, *, allow_gap: bool
) -> AsyncIterator[Reader]:
    """A reader for a generation. Raises `OperationError` when the broker fails."""
    fetch = {
        "fetch_max_bytes": BYTES_AT_ONCE,
        "max_partition_fetch_bytes": PARTITION_BYTES,
        # workers wait during the swap: a fetch of what is read already is not to hold up the rest
        "fetch_max_wait_ms": FETCH_MS,
    }
    try:
        async with log_reader(settings, "runfold rebuild", **fetch) as kafka:
            yield Reader(kafka, standing, allow_gap=allow_gap)
    except KafkaError as error:
        raise OperationError(f"the broker at {settings.kafka_bootstrap} failed: {error}") from error
