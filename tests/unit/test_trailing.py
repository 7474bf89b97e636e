"""What is passed over at the end of a log, and above all what is not, without a broker."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from projector.kafka import subscription, trailing
from projector.kafka.consumer import Consumer
from projector.writing.batch import Batch
from tests.unit.consuming import HERE, THERE, Kafka, Worker, event, turns


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    client = Kafka()
    monkeypatch.setattr(Consumer, "kafka", client)
    monkeypatch.setattr(trailing, "LOOK_SECONDS", 0.0)
    return client


@pytest.fixture
def at_end(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """Nothing waits behind what is polled, as far as was told."""
    monkeypatch.setattr(Kafka, "end", 0)
    return kafka


async def test_what_was_there_at_two_looks_is_passed_over(kafka: Kafka) -> None:
    worker = Worker()
    kafka.positions[HERE] = 103
    await worker.look()
    assert worker.table.written == []
    await worker.look()
    assert worker.table.written == [(0, 103, 3)]
    assert worker.applier.positions == {HERE: 103, THERE: 50}
    await worker.look()
    assert worker.table.written == [(0, 103, 3)]
    assert worker.consumer.failure is None


async def test_two_looks_are_a_second_apart(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trailing, "LOOK_SECONDS", 1.0)
    worker = Worker()
    kafka.positions[HERE] = 103
    for _ in range(3):
        await worker.look()
    assert worker.table.written == []


async def test_while_more_comes_nothing_is_passed_over(kafka: Kafka) -> None:
    worker = Worker()
    for reached in (101, 102, 103):
        kafka.positions[HERE] = reached
        await worker.look()
    assert worker.table.written == []


async def test_what_is_still_being_written_is_not_passed_over(kafka: Kafka) -> None:
    may_write = asyncio.Event()

    async def write(connection: object, batch: Batch, *more: object) -> None:
        if batch.rows:
            await may_write.wait()
        await worker.table.write(connection, batch, *more)

    worker = Worker(write)
    kafka.positions[HERE] = 101
    await worker.poll(event(HERE, 100))
    await worker.look()
    looking = asyncio.create_task(worker.look())
    await turns()
    may_write.set()
    await looking
    assert worker.table.written == [(0, 101, 0)]


async def test_what_is_sought_after_a_look_is_not_passed_over(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a partition that is not ours at the instant of the seek stays where the client has it
    monkeypatch.setattr(kafka, "seek", lambda *_: None)
    worker = Worker()
    kafka.positions[HERE] = 103
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


async def test_a_position_that_the_client_has_to_ask_for_holds_nothing_up(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "position", lambda _: asyncio.Event().wait())
    worker = Worker()
    async with asyncio.timeout(10):
        for _ in range(2):
            await worker.look()
    assert worker.table.written == []


async def test_what_could_not_be_written_is_sought_and_not_passed_over(kafka: Kafka) -> None:
    worker = Worker()
    worker.table.may_write.clear()
    kafka.positions[HERE] = 101
    await worker.poll(event(HERE, 100))
    await worker.look()
    looking = asyncio.create_task(worker.look())
    await turns()
    worker.table.positions[HERE] = 90
    worker.table.may_write.set()
    await looking
    assert worker.table.written == []
    assert (HERE, 90) in kafka.sought


async def test_a_poll_that_a_stop_has_given_up_is_not_passed_over(at_end: Kafka) -> None:
    asked = asyncio.Event()

    async def away(*_: object) -> None:
        asked.set()
        raise ConnectionRefusedError

    worker = Worker(away)
    at_end.positions[HERE] = 101
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


async def test_what_the_broker_has_dropped_is_sought_which_tells_of_it(kafka: Kafka) -> None:
    worker = Worker()
    kafka.first[HERE] = 102
    kafka.positions[HERE] = 103
    kafka.positions[THERE] = 51
    for _ in range(2):
        await worker.look()
    assert worker.table.written == [(1, 51, 1)]
    assert kafka.sought == [(HERE, 100)]


async def test_a_poll_drained_before_a_seek_of_other_partitions_comes_again(kafka: Kafka) -> None:
    worker = Worker()
    early = await worker.drain(event(THERE, 50))
    kafka.positions[THERE] = 51
    worker.table.positions[HERE] = 90
    worker.database.failed("gone")
    worker.database.over()
    await worker.consumer._seek_those_elsewhere()
    assert kafka.sought == [(HERE, 90)]
    await worker.consumer.handle(early)
    for _ in range(2):
        await worker.look()
    assert worker.table.written == []
    assert (THERE, 50) in kafka.sought


async def test_a_poll_that_was_never_handled_comes_again(kafka: Kafka) -> None:
    worker = Worker()
    await worker.drain(event(HERE, 100))
    kafka.positions[HERE] = 101
    for _ in range(3):
        await worker.look()
    assert worker.table.written == []
    assert kafka.sought == [(HERE, 100), (THERE, 50)]


async def test_what_is_not_ours_any_more_is_not_passed_over(kafka: Kafka) -> None:
    worker = Worker()
    kafka.positions = {THERE: 53}
    for _ in range(2):
        await worker.look()
    assert worker.table.written == [(1, 53, 3)]


@pytest.mark.parametrize("error", [KafkaConnectionError, None])
async def test_a_broker_that_does_not_answer_holds_nothing_up(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None
) -> None:
    async def away(_: object) -> None:
        if error is not None:
            raise error
        await asyncio.Event().wait()

    worker = Worker()
    kafka.positions[HERE] = 103
    with monkeypatch.context() as patched:
        patched.setattr(trailing, "ANSWER_SECONDS", 0.01)
        patched.setattr(trailing, "NO_ANSWER_SECONDS", 0.0)
        patched.setattr(kafka, "beginning_offsets", away)
        for _ in range(3):
            await worker.look()
    assert worker.table.written == []
    await worker.look()
    assert worker.table.written == [(0, 103, 3)]


async def test_a_broker_that_does_not_answer_is_not_asked_again_at_once(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def away(_: object) -> None:
        nonlocal asked
        asked += 1
        raise KafkaConnectionError

    monkeypatch.setattr(kafka, "beginning_offsets", away)
    worker = Worker()
    kafka.positions[HERE] = 103
    for _ in range(4):
        await worker.look()
    assert asked == 1


async def test_a_partition_given_up_before_its_turn_ends_nothing(kafka: Kafka) -> None:
    worker = Worker()
    kafka.positions |= {HERE: 103, THERE: 53}
    await worker.look()
    async with worker.consumer._turn:
        looking = asyncio.create_task(worker.look())
        await turns()
        del worker.applier.positions[HERE]
    await looking
    assert worker.table.written == [(1, 53, 3)]
    assert worker.consumer.failure is None


async def test_what_the_client_has_left_meanwhile_is_not_passed_over(kafka: Kafka) -> None:
    worker = Worker()
    kafka.positions[HERE] = 103
    await worker.look()
    async with worker.consumer._turn:
        looking = asyncio.create_task(worker.look())
        await turns()
        kafka.positions[HERE] = 0
    await looking
    assert worker.table.written == []


async def test_what_a_stop_has_given_up_meanwhile_is_not_passed_over(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projector.kafka.consumer.SHUTDOWN_SECONDS", 0.01)

    async def write(_: object, batch: Batch, *__: object) -> None:
        assert batch.rows, "passed over"
        await asyncio.Event().wait()

    worker = Worker(write)
    kafka.positions[HERE] = 101
    await worker.poll(event(HERE, 100))
    await worker.look()
    async with worker.consumer._turn:
        looking = asyncio.create_task(worker.look())
        await turns()
        await worker.consumer.stop()
    await looking
    assert worker.consumer.failure is None
    assert worker.applier.positions[HERE] == 100


async def test_what_is_not_the_end_of_the_log_is_not_passed_over(kafka: Kafka) -> None:
    worker = Worker()
    kafka.positions[HERE], kafka.stable[HERE] = 103, 110
    for _ in range(3):
        await worker.look()
    assert worker.table.written == []


class Subscribed:
    """Takes note of how many polls are said to have been drained."""

    def __init__(self) -> None:
        self.drained: list[int] = []

    async def polls(self, drained: int) -> None:
        self.drained.append(drained)


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

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    monkeypatch.setattr(AIOKafkaConsumer, "__del__", lambda _: None)
    told = Subscribed()
    client = subscription._Client(subscribed=told)  # type: ignore[arg-type]
    for _ in range(2):
        with suppress(Exception):
            await client.getmany()
    assert told.drained == [0, int(counts)]
