"""Where to read on: the stored position of a partition, or the first offset the broker holds."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from projector.dependencies import Connection, Dependencies
from projector.errors import PositionBeyondLog
from projector.generations.activation import ACTIVE, ActiveGenerationChanged, Bond, Target, enter
from projector.writing import faults, positions
from projector.writing.batch import Partition, Record, by_partition


class Seeker:
    """Seeks partitions to their stored positions."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._log = structlog.get_logger("runfold")
        self._suspects: set[Partition] = set()
        self._holes: dict[Partition, int] = {}

    async def seek(
        self, kafka: AIOKafkaConsumer, partitions: Iterable[Partition], target: Target
    ) -> dict[Partition, int]:
        """Seek these partitions and return their positions, waiting for broker and database.

        A partition without a position gets one at the first offset the broker holds. Where the
        broker no longer holds a stored position, the missing offsets are counted as a gap and
        told. Raises `ActiveGenerationChanged` and `Stopping`.
        """
        wanted = sorted(partitions)
        suspects, self._suspects = self._suspects, set()
        if not wanted:
            return {}
        first = await self._first_offsets(kafka, wanted)
        found = await self._stored(first, target)
        assigned = kafka.assignment()
        for partition, position in found.items():
            if TopicPartition(*partition) in assigned:
                kafka.seek(TopicPartition(*partition), position)
                if partition in suspects:
                    self._holes[partition] = position
                else:
                    self._holes.pop(partition, None)
        return found

    def astray(
        self, records: Sequence[Record], positions: Mapping[Partition, int]
    ) -> set[Partition]:
        """Return the partitions whose records do not follow on from their position.

        They have to be sought again. A hole is the broker's (compaction, a transaction's markers)
        when it is still there after that: nothing went past us, and as the position was sought the
        broker had not dropped what lies there.
        """
        seen: dict[Partition, int] = {}
        for partition, some in by_partition(records):
            seen.setdefault(partition, next(some).offset)
        astray = set()
        for partition, offset in seen.items():
            position = positions.get(partition)
            hole = position is None or offset > position
            if hole and self._holes.get(partition, -1) != position:
                astray.add(partition)
        self._suspects = astray
        return astray

    @staticmethod
    def check_log(
        kafka: AIOKafkaConsumer, records: Sequence[Record], positions: Mapping[Partition, int]
    ) -> None:
        """Raise `PositionBeyondLog` where the broker's log ends before what we have read of it.

        The broker then delivers the new log from its start, all of which seems to be known.
        """
        for partition, some in by_partition(records):
            position = positions.get(partition, 0)
            if (
                next(some).offset < position
                and kafka.highwater(TopicPartition(*partition)) < position
            ):
                raise PositionBeyondLog(*partition, position)

    @staticmethod
    def waiting(kafka: AIOKafkaConsumer, positions: Mapping[Partition, int]) -> int:
        """Return how many records from these positions on the broker is known to hold for us."""
        ours = {Partition(*each) for each in kafka.assignment()} & positions.keys()
        ends = {each: kafka.highwater(TopicPartition(*each)) for each in ours}
        return sum(max(0, end - positions[each]) for each, end in ends.items() if end is not None)

    async def _first_offsets(
        self, kafka: AIOKafkaConsumer, partitions: Sequence[Partition]
    ) -> dict[Partition, int]:
        while True:
            try:
                first = await kafka.beginning_offsets([TopicPartition(*p) for p in partitions])
            except KafkaError as error:
                await self._dependencies.wait_for(self._dependencies.broker, error)
            else:
                return {Partition(*each): offset for each, offset in first.items()}

    async def elsewhere(self, known: Mapping[Partition, int], target: Target) -> set[Partition]:
        """Return the partitions that do not stand at these positions, waiting for the database.

        Raises `ActiveGenerationChanged` and `Stopping`.
        """
        stored = await self._asked(target, lambda found: positions.read(found, known))
        return {each for each, position in known.items() if stored.get(each) != position}

    async def _stored(self, first: Mapping[Partition, int], target: Target) -> dict[Partition, int]:
        return await self._asked(target, lambda connection: self._read(connection, first))

    async def _asked(
        self, target: Target, question: Callable[[Connection], Awaitable[dict[Partition, int]]]
    ) -> dict[Partition, int]:
        """Return the answer of the target generation, once the database is there."""
        while True:
            try:
                async with (
                    self._dependencies.pool.acquire() as connection,
                    connection.transaction(),
                ):
                    await self._check(connection, target)
                    # not held: which generation is active is settled when a batch is written
                    await enter(connection, target._replace(bond=Bond.MAKES))
                    return await question(connection)
            except Exception as error:
                if faults.of(error) is None:
                    raise
                await self._dependencies.wait_for(self._dependencies.database, error)

    @staticmethod
    async def _check(connection: Connection, target: Target) -> None:
        """Raise `ActiveGenerationChanged` rather than look for tables that may be dropped."""
        if target.bond is Bond.FOLLOWS:
            active = await connection.fetchval(ACTIVE)
            if active != target.generation:
                raise ActiveGenerationChanged(active)

    async def _read(
        self, connection: Connection, first: Mapping[Partition, int]
    ) -> dict[Partition, int]:
        await positions.begin(connection, first)
        stored = await positions.read(connection, first)
        self._dependencies.database.over()
        for partition, position in stored.items():
            if position < first[partition]:
                await positions.skip_gap(connection, partition, position, first[partition])
                stored[partition] = first[partition]
                self._log.error(
                    "the broker has dropped records that were never read: raise the topic's"
                    " retention, then rebuild from a file that has them",
                    topic=partition.topic,
                    partition=partition.partition,
                    from_offset=position,
                    to_offset=first[partition],
                )
        return stored
