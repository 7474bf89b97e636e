"""Polls whose writes overlap: what is drained, sought and stopped in between, without a broker.

Kafka, the positions' table and the write are stand-ins here; that nothing is lost or done twice
by real ones is shown on a broker and PostgreSQL.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from projector import consumer
from projector.activation import Target
from projector.applying import Applier, Write
from projector.batch import Batch, Partition
from projector.consumer import Consumer
from projector.dependencies import Dependencies
from projector.errors import ClientStuck, PositionConflict
from projector.metrics import Metrics
from projector.outage import Outage
from projector.seeking import Seeker
from projector.settings import ProjectorSettings
from tests.applying import Committed, NoPool
from tests.records import PREFIX, Timed
from tests.unit.event_samples import as_bytes, least

HERE = Partition(f"{PREFIX}project", 0)
THERE = Partition(f"{PREFIX}project", 1)


class Kafka:
    """A client that has both partitions."""

    end = 10_000

    def assignment(self) -> set[Any]:
        return {TopicPartition(*each) for each in (HERE, THERE)}

    def seek(self, *_: object) -> None:
        pass

    def highwater(self, _: object) -> int:
        return self.end

    async def commit(self, _: object) -> None:
        pass


class Table:
    """The stored positions, moved by compare-and-set."""

    def __init__(self) -> None:
        self.positions = {HERE: 100, THERE: 50}
        self.written: list[tuple[int, int, int]] = []
        self.begun = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def write(self, _: object, batch: Batch, *__: object) -> None:
        self.begun.set()
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


class Worker:
    """A consumer on stand-ins."""

    def __init__(self, write: Write | None = None, shutdown_seconds: float = 5) -> None:
        self.table = Table()
        self.stopping = asyncio.Event()
        self.database = Outage("database")
        needs = Dependencies(NoPool(), self.stopping, self.database)  # type: ignore[arg-type]
        self.seeker = TableSeeker(needs, self.table)
        self.applier = Applier(
            needs, Target("main"), PREFIX, 0, Committed(), write=write or self.table.write
        )
        self.applier.positions = dict(self.table.positions)
        settings = ProjectorSettings(
            database_url="postgresql://nowhere",
            kafka_bootstrap="nowhere:9092",
            shutdown_seconds=shutdown_seconds,
        )
        metrics = Metrics(Outage("database"))
        self.consumer = Consumer(settings, self.applier, self.seeker, needs, metrics=metrics)

    async def poll(self, *records: Timed) -> None:
        await self.consumer.handle(await self.consumer.drained(records))


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Consumer, "kafka", Kafka())


def event(partition: Partition, offset: int) -> Timed:
    value = least("project", project_id=f"{partition.partition}-{offset}")
    return Timed(*partition, offset, value=as_bytes(value))


async def defect(*_: object) -> None:
    raise KeyError("a defect")


@pytest.fixture
def at_end(kafka: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits behind what is polled, as far as was told."""
    monkeypatch.setattr(Kafka, "end", 0)


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize(("end", "at_once"), [(1_102, True), (1_101, False), (102, False)])
async def test_only_with_a_backlog_a_poll_is_handled_before_it_is_written(
    monkeypatch: pytest.MonkeyPatch, end: int, *, at_once: bool
) -> None:
    monkeypatch.setattr(Kafka, "end", end)
    worker = Worker()
    worker.applier.positions[THERE] = 20_000  # beyond the end that was told: none waits there
    worker.table.may_write.clear()
    handled = asyncio.create_task(worker.poll(event(HERE, 100), event(HERE, 101)))
    await worker.table.begun.wait()
    for _ in range(10):  # turns of the loop in which it could be handled
        await asyncio.sleep(0)
    assert handled.done() is at_once
    worker.table.may_write.set()
    await handled
    await worker.applier.settled()
    assert worker.table.written == [(0, 102, 0)]


@pytest.mark.usefixtures("at_end")
async def test_a_conflict_at_the_end_of_the_log_leads_to_one_seek() -> None:
    worker = Worker()
    worker.table.positions[HERE] = 105
    await worker.poll(event(HERE, 100))
    assert worker.table.written == []
    assert worker.applier.positions[HERE] == 105
    await worker.poll(event(HERE, 105))
    assert worker.table.written == [(0, 106, 0)]
    assert worker.consumer.failure is None


@pytest.mark.usefixtures("at_end")
async def test_a_failure_at_the_end_of_the_log_ends_the_worker() -> None:
    worker = Worker(defect)
    await worker.poll(event(HERE, 100))
    assert worker.stopping.is_set()
    assert isinstance(worker.consumer.failure, KeyError)


@pytest.mark.usefixtures("at_end")
async def test_a_stop_gives_up_a_poll_that_waits_for_its_write() -> None:
    worker = Worker(shutdown_seconds=1)
    worker.table.may_write.clear()
    polling = asyncio.create_task(worker.poll(event(HERE, 100)))
    await worker.table.begun.wait()
    async with asyncio.timeout(10):
        await worker.consumer.stop()
    await asyncio.wait({polling})
    assert polling.cancelled()
    assert worker.table.written == []


@pytest.mark.usefixtures("kafka")
async def test_a_poll_drained_before_a_seek_is_left_for_its_next_delivery() -> None:
    worker = Worker()
    # offset 100 is a transaction's marker: a hole that is still there after a seek
    await worker.poll(event(HERE, 101))
    # somebody else has moved THERE: the write fails after its poll was handled, which leads to a
    # seek; and the next poll is drained while that is under way
    worker.table.may_write.clear()
    worker.table.positions[THERE] = 60
    worker.seeker.begun.clear()
    worker.seeker.may_seek.clear()
    await worker.poll(event(HERE, 101), event(THERE, 50))
    worker.table.may_write.set()
    await worker.seeker.begun.wait()
    early = await worker.consumer.drained([event(HERE, 102), event(HERE, 103)])
    handled = asyncio.create_task(worker.consumer.handle(early))
    worker.seeker.may_seek.set()
    await handled
    # what the broker delivers after the seek
    await worker.poll(*(event(HERE, offset) for offset in (101, 102, 103)), event(THERE, 60))
    await worker.applier.finished()
    await worker.poll(*(event(HERE, offset) for offset in (101, 102, 103)), event(THERE, 60))
    await worker.applier.settled()
    assert worker.consumer.failure is None
    assert sorted(worker.table.written) == [(0, 104, 1), (1, 61, 0)]


@pytest.mark.usefixtures("kafka")
async def test_a_failure_that_no_other_poll_meets_ends_the_worker() -> None:
    worker = Worker(defect)
    await worker.poll(event(HERE, 100))
    async with asyncio.timeout(10):
        await worker.stopping.wait()
    assert isinstance(worker.consumer.failure, KeyError)


@pytest.mark.usefixtures("kafka")
async def test_a_write_that_does_not_end_holds_a_stop_up_for_no_longer_than_is_allowed() -> None:
    ended = asyncio.Event()

    async def write(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ended.wait()  # a server that does not answer the cancellation either

    worker = Worker(write, shutdown_seconds=1)
    await worker.poll(event(HERE, 100))
    async with asyncio.timeout(10):
        await worker.consumer.stop()
    assert worker.table.written == []
    ended.set()


@pytest.mark.usefixtures("kafka")
async def test_partitions_are_sought_again_after_an_outage_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "OUTAGE_SECONDS", 0.01)
    worker = Worker()
    seeking = asyncio.create_task(worker.consumer.keep_sought())
    await asyncio.sleep(0)
    # a backup is restored, of before the last fifty records; nothing comes to the partition
    worker.table.positions[THERE] = 0
    worker.database.failed("gone")
    worker.database.over()
    async with asyncio.timeout(10):
        await worker.seeker.begun.wait()
    worker.stopping.set()
    await seeking
    assert worker.applier.positions == {HERE: 100, THERE: 0}


@pytest.mark.usefixtures("kafka")
async def test_a_client_that_does_not_go_on_ends_the_worker_with_what_it_says() -> None:
    worker = Worker()
    worker.consumer._given_up(GroupAuthorizationFailedError("group"))
    assert isinstance(worker.consumer.failure, ClientStuck)
    assert "GroupAuthorizationFailedError" in str(worker.consumer.failure)
    assert worker.stopping.is_set()
