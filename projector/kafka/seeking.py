"""Where to read on: the stored position of a partition, or the first offset the broker holds."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.health import keep_trying
from projector.dependencies import Connection, Dependencies
from projector.errors import PositionBeyondLog
from projector.generations.activation import ACTIVE, ActiveGenerationChanged, Mode, Target, enter
from projector.writing import faults, positions
from projector.writing.batch import Partition, Record, by_partition

T = TypeVar("T")


TO_CHECK: Final = 2
"""Times a partition is seen at rest before the end of its log is read once more."""


class Rest(NamedTuple):
    """A partition whose client has gone on from our position without delivering a record."""

    position: int
    to: int
    """The offset the client asks for next."""
    times: int = 1
    """How often it was seen so."""


def rests(
    known: Mapping[Partition, Rest],
    positions: Mapping[Partition, int],
    client: Mapping[Partition, int],
) -> dict[Partition, Rest]:
    """Return which partitions are at rest now; `client` has the offsets it will deliver next.

    One that was sought and has not been answered yet stays as it was.
    """
    found = {}
    for partition, position in positions.items():
        to, before = client.get(partition, position), known.get(partition)
        if before is not None and before.position == position and to in {position, before.to}:
            found[partition] = before._replace(times=before.times + (to > position))
        elif to > position:
            found[partition] = Rest(position, to)
    return found


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
        logged. Raises `ActiveGenerationChanged` and `Stopping`.
        """
        wanted = sorted(partitions)
        suspects, self._suspects = self._suspects, set()
        if not wanted:
            return {}
        needs = self._dependencies

        async def first_offsets() -> dict[Partition, int]:
            first = await kafka.beginning_offsets([TopicPartition(*each) for each in wanted])
            return {Partition(*each): offset for each, offset in first.items()}

        first = await keep_trying(
            first_offsets, needs.broker, needs.stopping, lambda error: isinstance(error, KafkaError)
        )
        found = await self._in(target, lambda connection: self._stored(connection, first))
        assigned = kafka.assignment()
        for partition, position in found.items():
            if TopicPartition(*partition) in assigned:
                kafka.seek(TopicPartition(*partition), position)
                if partition in suspects:
                    self._holes[partition] = position
                else:
                    self._holes.pop(partition, None)
        return found

    def out_of_sequence(
        self, records: Sequence[Record], known: Mapping[Partition, int]
    ) -> set[Partition]:
        """Return the partitions whose records do not start at their position.

        They have to be sought again. A hole that is still there after that is the broker's
        (compaction, a transaction's markers): nothing was skipped on our side.
        """
        first: dict[Partition, int] = {}
        for partition, some in by_partition(records):
            first.setdefault(partition, next(some).offset)
        self._suspects = {
            partition
            for partition, offset in first.items()
            if (position := known.get(partition)) is None
            or (offset > position and self._holes.get(partition) != position)
        }
        return self._suspects

    @staticmethod
    def check_log(
        kafka: AIOKafkaConsumer, records: Sequence[Record], known: Mapping[Partition, int]
    ) -> None:
        """Raise `PositionBeyondLog` where the broker's log ends before what was read of it.

        The broker then delivers the new log from its start, all of which seems to be known.
        """
        for partition, some in by_partition(records):
            at, position = TopicPartition(*partition), known.get(partition, 0)
            if next(some).offset >= position or at not in kafka.assignment():
                continue
            end = kafka.highwater(at)
            if end is not None and end < position:
                raise PositionBeyondLog(*partition, position)

    async def _in(self, target: Target, question: Callable[[Connection], Awaitable[T]]) -> T:
        """Return the answer of the target generation, waiting for the database."""
        needs = self._dependencies

        async def asked() -> T:
            async with needs.pool.acquire() as connection, connection.transaction():
                # rather than look for tables that may be dropped
                active = await connection.fetchval(ACTIVE)
                if active != target.generation:
                    raise ActiveGenerationChanged(active)
                # not held: which generation is active is settled when a batch is written
                await enter(connection, target._replace(mode=Mode.BUILDING))
                return await question(connection)

        return await keep_trying(asked, needs.database, needs.stopping, faults.is_away)

    async def _stored(
        self, connection: Connection, first: Mapping[Partition, int]
    ) -> dict[Partition, int]:
        await positions.begin(connection, first)
        stored = await positions.read(connection, first)
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
