"""A worker's Kafka side on stand-ins: the client, the table of positions and the write."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from faststream.kafka import KafkaMessage

from projector.dependencies import Dependencies
from projector.errors import PositionConflict
from projector.generations.activation import Target
from projector.kafka.broker_log import Outage
from projector.kafka.consumer import Consumer
from projector.kafka.seeking import Seeker
from projector.operations.metrics import Metrics
from projector.settings import ProjectorSettings
from projector.writing.applying import Applier, Observers, Write
from projector.writing.batch import Batch, Partition
from tests.records import PREFIX, Timed
from tests.unit.event_samples import as_bytes, least

HERE = Partition(f"{PREFIX}project", 0)
THERE = Partition(f"{PREFIX}project", 1)


class Kafka:
    """A client that has both partitions."""

    def __init__(self) -> None:
        self.positions = {HERE: 100, THERE: 50}
        """What it asks for next."""
        self.first = {HERE: 0, THERE: 0}
        self.stable: dict[Partition, int] = {}
        """Ends of what may be read, where that is not what it asks for next."""
        self.end = 10_000
        self.sought: list[tuple[Partition, int]] = []

    def assignment(self) -> set[Any]:
        return {TopicPartition(*each) for each in self.positions}

    def seek(self, at: Any, position: int) -> None:
        self.positions[Partition(*at)] = position
        self.sought.append((Partition(*at), position))

    def last_stable_offset(self, at: Any) -> int:
        return self.stable.get(Partition(*at), self.positions[Partition(*at)])

    async def beginning_offsets(self, wanted: list[Any]) -> dict[Any, int]:
        return {each: self.first[Partition(*each)] for each in wanted}

    async def position(self, at: Any) -> int:
        return self.positions[Partition(*at)]

    def highwater(self, at: Any) -> int:
        assert at in self.assignment()
        return self.end

    async def commit(self, _: object) -> None:
        pass


class Table:
    """The stored positions, moved by compare-and-set."""

    def __init__(self) -> None:
        self.positions = {HERE: 100, THERE: 50}
        self.written: list[tuple[int, int, int]] = []
        """Partition, next offset and gaps of every move."""
        self.may_write = asyncio.Event()
        """Set unless records have to wait; what is no record never does."""
        self.may_write.set()

    async def write(self, _: object, batch: Batch, *__: object) -> None:
        if batch.rows:
            await self.may_write.wait()
        for partition, move in batch.moves.items():
            if self.positions[partition] != move.start:
                raise PositionConflict(*partition, move.start, self.positions[partition])
        for partition, move in batch.moves.items():
            self.positions[partition] = move.next
            self.written.append((partition.partition, move.next, move.gaps))


class TableSeeker(Seeker):
    """Reads the stand-in's positions when it may."""

    def __init__(self, needs: Dependencies, table: Table) -> None:
        super().__init__(needs)
        self.begun = asyncio.Event()
        self.may_seek = asyncio.Event()
        self.may_seek.set()
        self._table = table

    async def _first_offsets(self, _: object, wanted: Iterable[Partition]) -> dict[Partition, int]:
        self.begun.set()
        await self.may_seek.wait()
        return dict.fromkeys(wanted, 0)

    async def _stored(self, first: Mapping[Partition, int], _: object) -> dict[Partition, int]:
        return {each: self._table.positions[each] for each in first}

    async def elsewhere(self, known: Mapping[Partition, int], _: object) -> set[Partition]:
        return {each for each in known if known[each] != self._table.positions[each]}


class StandIn(Consumer):
    """A consumer that reads what is no broker."""

    kafka: Any = None


class Worker:
    """A consumer on stand-ins."""

    def __init__(self, write: Write | None = None, shutdown_seconds: float = 5) -> None:
        self.kafka, self.table = Kafka(), Table()
        self.stopping = asyncio.Event()
        pool: Any = SimpleNamespace(acquire=nullcontext)
        needs = Dependencies(pool, self.stopping)
        self.seeker = TableSeeker(needs, self.table)
        write = write or self.table.write
        self.applier = Applier(needs, Target("main"), PREFIX, 0, Observers(), write=write)
        self.applier.positions = dict(self.table.positions)
        settings = ProjectorSettings(
            database_url="postgresql://nowhere",
            kafka_bootstrap="nowhere:9092",
            shutdown_seconds=shutdown_seconds,
        )
        metrics = Metrics(Outage("database"))
        self.consumer: Any = StandIn(settings, self.applier, self.seeker, needs, metrics=metrics)
        self.consumer.kafka = self.kafka
        self.drained = 0

    async def poll(self, *records: Timed) -> None:
        await self.consumer.handle(await self.drain(*records))

    async def drain(self, *records: Timed) -> KafkaMessage:
        self.drained += 1
        message: KafkaMessage = await self.consumer.drained(records)
        return message

    async def look(self) -> None:
        await self.consumer.polls(self.drained)


def event(partition: Partition, offset: int) -> Timed:
    value = least("project", project_id=f"{partition.partition}-{offset}")
    return Timed(*partition, offset, value=as_bytes(value))


async def turns() -> None:
    """Turns of the loop in which what can go on does."""
    for _ in range(10):
        await asyncio.sleep(0)
