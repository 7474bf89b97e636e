"""Polls whose writes overlap: what is drained, sought and stopped in between, without a broker.

Kafka, the table of positions and the write are stand-ins here; that nothing is lost or done twice
by real ones is shown on a broker and PostgreSQL.
"""

import asyncio

import pytest
from aiokafka.errors import GroupAuthorizationFailedError

from projector.errors import ClientStuck
from tests.records import Timed
from tests.unit.consuming import HERE, THERE, Worker, event, turns


async def defect(*_: object) -> None:
    raise KeyError("a defect")


def events(*offsets: int) -> list[Timed]:
    return [event(HERE, offset) for offset in offsets]


async def test_a_slice_is_written_once_the_one_before_it_is_durable() -> None:
    worker = Worker()
    applier, table = worker.applier, worker.table
    table.may_write.clear()
    await applier.apply_all([events(100, 101)])
    assert (applier.positions[HERE], applier.ahead[HERE]) == (100, 102)
    more = asyncio.create_task(applier.apply_all([events(102), events(103)]))
    await turns()
    assert not more.done()
    table.may_write.set()
    await more
    await applier.settled()
    assert table.written == [(0, 102, 0), (0, 103, 0), (0, 104, 0)]
    assert applier.positions == applier.ahead == {HERE: 104, THERE: 50}


async def test_none_is_written_after_one_that_failed() -> None:
    worker = Worker()
    worker.table.positions[THERE] = 60
    with pytest.raises(Exception, match="60"):
        await worker.applier.apply_all([events(100), [event(THERE, 50)], events(101)])
    assert worker.table.written == [(0, 101, 0)]
    assert worker.applier.positions[HERE] == 101


async def test_a_write_that_fails_after_the_call_fails_the_next_one_once() -> None:
    applier = Worker(defect).applier
    await applier.apply_all([events(100)])
    await applier.finished()
    assert applier.ahead[HERE] == 100
    with pytest.raises(KeyError):
        await applier.apply_all([events(101)])
    await applier.settled()
    assert applier.positions[HERE] == 100


async def test_what_is_given_up_ends_before_anything_else_begins() -> None:
    worker = Worker()
    worker.table.may_write.clear()
    await worker.applier.apply_all([events(100)])
    waiting = asyncio.create_task(worker.applier.apply_all([events(101)]))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    worker.table.may_write.set()
    await worker.applier.settled()
    assert worker.table.written == []
    assert worker.applier.positions == worker.applier.ahead == {HERE: 100, THERE: 50}


async def test_a_poll_drained_before_a_seek_is_left_for_its_next_delivery() -> None:
    worker = Worker()
    # offset 100 is a transaction's marker: a hole that is still there after a seek
    await worker.poll(*events(101))
    # somebody else has moved THERE: the write fails after its poll was handled, which leads to a
    # seek; and the next poll is drained while that is under way
    worker.table.may_write.clear()
    worker.table.positions[THERE] = 60
    worker.seeker.begun.clear()
    worker.seeker.may_seek.clear()
    await worker.poll(event(HERE, 101), event(THERE, 50))
    worker.table.may_write.set()
    await worker.seeker.begun.wait()
    handled = asyncio.create_task(worker.poll(*events(102, 103)))
    await turns()
    worker.seeker.may_seek.set()
    await handled
    # what the broker delivers after the seek
    for _ in range(2):
        await worker.poll(*events(101, 102, 103), event(THERE, 60))
        await worker.applier.finished()
    await worker.applier.settled()
    assert worker.consumer.failure is None
    assert sorted(worker.table.written) == [(0, 104, 1), (1, 61, 0)]


@pytest.mark.parametrize("end", [0, 10_000], ids=["at the end of the log", "in a backlog"])
async def test_a_defect_ends_the_worker_though_no_other_poll_meets_it(end: int) -> None:
    worker = Worker(defect)
    worker.kafka.end = end
    await worker.poll(*events(100))
    async with asyncio.timeout(10):
        await worker.stopping.wait()
    assert isinstance(worker.consumer.failure, KeyError)


async def test_a_client_that_may_ask_no_more_ends_the_worker() -> None:
    worker = Worker()
    worker.consumer._given_up(GroupAuthorizationFailedError("group"))
    assert isinstance(worker.consumer.failure, ClientStuck)
    assert worker.stopping.is_set()
