"""Polls whose writes overlap: what is drained, sought and stopped in between, without a broker.

Kafka, the positions' table and the write are stand-ins here; that nothing is lost or done twice
by real ones is shown on a broker and PostgreSQL.
"""

import asyncio

import pytest
from aiokafka.errors import GroupAuthorizationFailedError

from projector.kafka import consumer
from projector.kafka.consumer import Consumer
from tests.unit.consuming import HERE, THERE, Kafka, Worker, event, turns


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Consumer, "kafka", Kafka())


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
    await turns()
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
async def test_a_stop_gives_up_a_poll_that_waits_for_its_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("projector.kafka.consumer.SHUTDOWN_SECONDS", 1)
    worker = Worker()
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
async def test_a_write_that_does_not_end_holds_a_stop_up_for_no_longer_than_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("projector.kafka.consumer.SHUTDOWN_SECONDS", 1)
    ended = asyncio.Event()

    async def write(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ended.wait()  # a server that does not answer the cancellation either

    worker = Worker(write)
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
    assert "the Kafka client does not go on" in str(worker.consumer.failure)
    assert "GroupAuthorizationFailedError" in str(worker.consumer.failure)
    assert worker.stopping.is_set()
