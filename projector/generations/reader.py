"""Read partitions into a generation that is being built, without a consumer group."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from contracts.errors import OperationError
from contracts.health import Outage
from contracts.settings import KafkaSettings
from projector.database import CONNECT_SECONDS, faults_named
from projector.dependencies import Connection, Dependencies
from projector.errors import PositionBeyondLog
from projector.generations import schema
from projector.generations.activation import LONGEST_SECONDS, Mode, Target, enter
from projector.generations.plan import dropped
from projector.kafka.log_reader import Silence, log_reader
from projector.settings import ProjectorSettings
from projector.writing import positions, transaction
from projector.writing.applying import Applier, Write, slices
from projector.writing.batch import Partition

RECORDS_AT_ONCE: Final = 10_000
WRITTEN_AT_ONCE: Final = 2_500
"""Records of one transaction, while the next ones are decoded."""
BYTES_AT_ONCE: Final = 8 * 1_048_576
PARTITION_BYTES: Final = 1_048_576
POLL_MS: Final = 200
FETCH_MS: Final = 50

Ends = Mapping[Partition, int]
"""Offsets up to which partitions are read, these not included."""


class Builder:
    """Applies records to a generation that is being built, and moves its positions."""

    def __init__(self, pool: asyncpg.Pool, target: Target, applier: Applier) -> None:
        self.applier = applier
        self._pool = pool
        self._target = target

    async def begin(self, first: Mapping[Partition, int]) -> None:
        """Take in partitions where they stand; those without a position begin here."""
        async with self._entered() as connection:
            await positions.begin(connection, first)
            self.applier.positions |= await positions.read(connection, first)

    async def skip(self, partition: Partition, to: int) -> None:
        """Move over offsets that the broker does not have, and count them as a gap."""
        async with self._entered() as connection:
            at = self.applier.positions[partition]
            await positions.skip_gap(connection, partition, at, to)
            self.applier.positions |= await positions.read(connection, [partition])

    @asynccontextmanager
    async def _entered(self) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            await enter(connection, self._target)
            yield connection


@dataclass(frozen=True, slots=True)
class _Failing(Dependencies):
    """A rebuild ends where a worker waits: it holds no lock any more, and can be resumed."""

    async def wait_for(self, away: Outage, error: Exception) -> None:
        """Raise why. Raises `OperationError` when the server is out of something."""
        if isinstance(error, asyncpg.InsufficientResourcesError):
            raise OperationError(f"the database cannot hold the new generation: {error}") from error
        raise error


@asynccontextmanager
async def building(
    settings: ProjectorSettings,
    generation: str,
    write: Write = transaction.write,
    *,
    until: datetime | None = None,
) -> AsyncIterator[Builder]:
    """A builder of this generation, complete so far unless `write` only copies.

    Raises `OperationError` when the database fails.
    """
    target = Target(generation, Mode.BUILDING)

    async def prepare(connection: asyncpg.Connection) -> None:
        await transaction.prepare(connection)
        await schema.join(connection, generation)

    # The owner, not the writer role: rows cannot be copied under row-level security.
    pool = asyncpg.create_pool(
        settings.database_url,
        min_size=1,
        max_size=1,
        timeout=CONNECT_SECONDS,
        init=prepare,
        reset=transaction.keep,
        server_settings={
            "application_name": "runfold rebuild",
            **transaction.SESSION,
            # a rebuild put to sleep holds the dead letters it is about to store, also for workers
            "idle_in_transaction_session_timeout": f"{LONGEST_SECONDS}s",
            # what a crash of the server loses while it is loaded is loaded again
            "synchronous_commit": "on" if write is transaction.write else "off",
        },
    )
    with faults_named(settings.database_url):
        async with pool:
            applier = Applier(
                _Failing(pool, asyncio.Event()),
                target,
                settings.topic_prefix,
                slot=0,
                write=write,
                until=until,
            )
            yield Builder(pool, target, applier)


class Reader:
    """Reads partitions and applies what they hold."""

    def __init__(self, kafka: AIOKafkaConsumer, builder: Builder, *, allow_gap: bool) -> None:
        self._kafka = kafka
        self._builder = builder
        self._applier = builder.applier
        self._allow_gap = allow_gap

    async def up_to(self, ends: Ends) -> None:
        """Apply what the partitions hold before `ends`, and nothing after.

        Offsets that the broker has no record for (compaction, a transaction's markers) count as
        gaps. Raises `OperationError` where records were dropped that have not been read,
        `PositionBeyondLog`, and what `Applier.apply` raises.
        """
        if unknown := ends.keys() - self._applier.positions.keys():
            await self._builder.begin(dict.fromkeys(unknown, 0))
        left = {
            TopicPartition(*partition): end
            for partition, end in ends.items()
            if self._applier.positions[partition] < end
        }
        if not left:
            return
        # what was fetched beyond the last ends is fetched again
        self._kafka.assign([*left])
        self._seek(Partition(*each) for each in left)
        silence = Silence()
        while left := {p: end for p, end in left.items() if await self._kafka.position(p) < end}:
            try:
                polled = await self._kafka.getmany(
                    *left, timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE
                )
            except OffsetOutOfRangeError as gone:
                await self._over_gaps([Partition(*each) for each in gone.args[0]])
            else:
                silence.polled(found=bool(polled))
                await self._apply(
                    [r for p, polls in polled.items() for r in polls if r.offset < left[p]]
                )
                await self._check_logs(left)
        for partition, end in ends.items():
            if self._applier.positions[partition] < end:
                await self._builder.skip(partition, end)

    def _seek(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._kafka.seek(TopicPartition(*partition), self._applier.positions[partition])

    async def _apply(self, records: Sequence[ConsumerRecord]) -> None:
        await self._applier.apply(slices(records, BYTES_AT_ONCE, WRITTEN_AT_ONCE))

    async def _over_gaps(self, gone: Sequence[Partition]) -> None:
        """Go to the first offsets of partitions whose beginning was dropped, if that is allowed."""
        first = await self._kafka.beginning_offsets([TopicPartition(*each) for each in gone])
        for partition in gone:
            position, begins = self._applier.positions[partition], first[TopicPartition(*partition)]
            if begins <= position:
                raise PositionBeyondLog(*partition, position)
            if not self._allow_gap:
                raise dropped(partition, position, begins)
            await self._builder.skip(partition, begins)
        self._seek(gone)

    async def _check_logs(self, ends: Mapping[TopicPartition, int]) -> None:
        """Raise `PositionBeyondLog` where the log ends before the end that is to be reached."""
        for partition, end in ends.items():
            last = self._kafka.highwater(partition)
            if last is not None and last < end and await self._kafka.position(partition) >= last:
                raise PositionBeyondLog(partition.topic, partition.partition, end)


@asynccontextmanager
async def reading(
    settings: KafkaSettings, builder: Builder, *, allow_gap: bool
) -> AsyncIterator[Reader]:
    """A reader into a generation. Raises `OperationError` when the broker fails."""
    fetch = {
        "fetch_max_bytes": BYTES_AT_ONCE,
        "max_partition_fetch_bytes": PARTITION_BYTES,
        # workers wait during the swap: a fetch of what is read already is not to hold up the rest
        "fetch_max_wait_ms": FETCH_MS,
    }
    try:
        async with log_reader(settings, "runfold rebuild", **fetch) as kafka:
            yield Reader(kafka, builder, allow_gap=allow_gap)
    except KafkaError as error:
        raise OperationError(f"the broker at {settings.kafka_bootstrap} failed: {error}") from error
