"""What is passed over at the end of a log, and above all what is not, without a broker."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from projector.kafka import subscription, trailing
from projector.writing.batch import Batch
from tests.unit.consuming import HERE, THERE, Worker, event, turns


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trailing, "LOOK_SECONDS", 0.0)


async def test_what_was_there_at_two_looks_is_passed_over_once() -> None:
    worker = Worker()
    worker.kafka.positions[HERE] = 103
    for written in ([], [(0, 103, 3)], [(0, 103, 3)]):
        await worker.look()
        assert worker.table.written == written
    assert worker.applier.positions == {HERE: 103, THERE: 50}
    assert worker.consumer.failure is None


def more_comes(worker: Worker) -> None:
    worker.kafka.positions[HERE] += 1


def more_is_there(worker: Worker) -> None:
    worker.kafka.stable[HERE] = 110


def client_goes_back(worker: Worker) -> None:
    worker.kafka.positions[HERE] = 0


def is_anothers(worker: Worker) -> None:
    del worker.kafka.positions[HERE]


def is_given_up(worker: Worker) -> None:
    del worker.applier.positions[HERE]


@pytest.mark.parametrize(
    ("when", "change"),
    [
        ("before", more_is_there),
        ("before", is_anothers),
        ("between", more_comes),
        ("between", is_anothers),
        ("after", more_comes),
        ("after", client_goes_back),
        ("after", is_anothers),
        ("after", is_given_up),
    ],
)
async def test_a_partition_that_has_not_come_to_rest_is_not_passed_over(
    when: str, change: Callable[[Worker], None]
) -> None:
    """Something changes before, between or after the two looks; the other partition is at rest."""
    worker = Worker()
    worker.kafka.positions |= {HERE: 103, THERE: 53}
    if when == "before":
        change(worker)
    await worker.look()
    if when == "between":
        change(worker)
    async with worker.consumer._turn:
        looking = asyncio.create_task(worker.look())
        await turns()
        if when == "after":
            change(worker)
    await looking
    assert worker.table.written == [(1, 53, 3)]
    assert worker.consumer.failure is None


async def test_what_is_sought_after_a_look_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker()
    # a partition that is not ours at the instant of the seek stays where the client has it
    monkeypatch.setattr(worker.kafka, "seek", lambda *_: None)
    worker.kafka.positions[HERE] = 103
    await worker.look()
    worker.seeker.may_seek.clear()
    assigning = asyncio.create_task(worker.consumer.assigned({HERE}))
    await worker.seeker.begun.wait()
    looking = asyncio.create_task(worker.look())
    await turns()
    worker.seeker.may_seek.set()
    await assigning
    await looking
    assert worker.table.written == []


@pytest.mark.parametrize(
    ("stands_at", "written"), [(100, [(0, 101, 0)]), (90, [])], ids=["written", "refused"]
)
async def test_what_is_being_written_is_not_passed_over(
    stands_at: int, written: list[tuple[int, int, int]]
) -> None:
    worker = Worker()
    worker.table.may_write.clear()
    worker.kafka.positions[HERE] = 101
    await worker.poll(event(HERE, 100))
    await worker.look()
    looking = asyncio.create_task(worker.look())
    await turns()
    worker.table.positions[HERE] = stands_at
    worker.table.may_write.set()
    await looking
    assert worker.table.written == written
    assert worker.applier.positions[HERE] == worker.table.positions[HERE]


async def test_a_poll_that_was_never_handled_comes_again() -> None:
    worker = Worker()
    await worker.drain(event(HERE, 100))
    worker.kafka.positions[HERE] = 101
    for _ in range(3):
        await worker.look()
    assert worker.table.written == []
    assert worker.kafka.sought == [(HERE, 100), (THERE, 50)]


async def test_a_poll_drained_before_a_seek_of_other_partitions_comes_again() -> None:
    worker = Worker()
    early = await worker.drain(event(THERE, 50))
    worker.kafka.positions[THERE] = 51
    worker.table.positions[HERE] = 90
    await worker.consumer._seek_those_elsewhere()
    assert worker.kafka.sought == [(HERE, 90)]
    await worker.consumer.handle(early)
    for _ in range(2):
        await worker.look()
    assert worker.table.written == []
    assert (THERE, 50) in worker.kafka.sought


async def test_what_the_broker_has_dropped_is_sought_which_counts_it() -> None:
    worker = Worker()
    worker.kafka.first[HERE] = 102
    worker.kafka.positions |= {HERE: 103, THERE: 51}
    for _ in range(2):
        await worker.look()
    assert worker.table.written == [(1, 51, 1)]
    assert worker.kafka.sought == [(HERE, 100)]


async def test_a_poll_that_a_stop_has_given_up_is_not_passed_over() -> None:
    asked = asyncio.Event()

    async def away(*_: object) -> None:
        asked.set()
        raise ConnectionRefusedError

    worker = Worker(away)
    worker.kafka.end = 0
    worker.kafka.positions[HERE] = 101
    polling = asyncio.create_task(worker.poll(event(HERE, 100)))
    async with asyncio.timeout(10):
        await asked.wait()
        worker.stopping.set()
        await polling
    asked.clear()
    for _ in range(3):
        await worker.look()
    assert not asked.is_set()
    assert worker.applier.positions[HERE] == 100


async def test_a_poll_that_a_stop_gives_up_after_a_look_is_not_passed_over() -> None:
    async def write(_: object, batch: Batch, *__: object) -> None:
        assert batch.rows, "passed over"
        await asyncio.Event().wait()

    worker = Worker(write, shutdown_seconds=0.01)
    worker.kafka.positions[HERE] = 101
    await worker.poll(event(HERE, 100))
    await worker.look()
    async with worker.consumer._turn:
        looking = asyncio.create_task(worker.look())
        await turns()
        await worker.consumer.stop()
    await looking
    assert worker.consumer.failure is None
    assert worker.applier.positions[HERE] == 100


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ({HERE: ["a record"]}, True),
        ({}, False),
        (TopicAuthorizationFailedError("it"), False),
        (KafkaError("in the middle of what was drained"), True),
        (OSError("no gzip"), True),
    ],
)
async def test_polls_count_as_drained_unless_it_is_sure_that_they_are_not(
    monkeypatch: pytest.MonkeyPatch, said: Any, *, counts: bool
) -> None:
    async def getmany(*_: object, **__: object) -> Any:
        if isinstance(said, Exception):
            raise said
        return said

    class Subscribed:
        async def polls(self, drained: int) -> None:
            told.append(drained)

    told: list[int] = []
    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    monkeypatch.setattr(AIOKafkaConsumer, "__del__", lambda _: None)
    client = subscription._Client(subscribed=Subscribed())  # type: ignore[arg-type]
    for _ in range(2):
        with suppress(Exception):
            await client.getmany()
    assert told == [0, int(counts)]
