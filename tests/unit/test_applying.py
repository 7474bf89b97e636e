"""What is halved, what is waited for, what ends the worker: decided without a database.

The write is a stand-in here; that real transactions behave so is shown on PostgreSQL.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from projector.dependencies import Dependencies
from projector.generations.activation import Target
from projector.writing.applying import AS_BEFORE, LONGER, Applier
from projector.writing.batch import Batch, Partition
from tests.applying import Committed, NoPool
from tests.records import PREFIX, FakeRecord, record
from tests.unit.event_samples import least

HERE = Partition(f"{PREFIX}project", 0)


class Writing:
    """A write that refuses batches as it is told to."""

    def __init__(self, most: int, error: Exception) -> None:
        self.written: list[int] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self._most = most
        self._error = error

    async def __call__(self, _: Any, batch: Batch, *__: Any) -> None:
        await self.may_go.wait()
        (move,) = batch.moves.values()
        if move.next - move.start > self._most:
            raise self._error
        self.written.append(move.next)


def applier(writing: Writing) -> Applier:
    needs = Dependencies(NoPool(), asyncio.Event())  # type: ignore[arg-type]
    made = Applier(needs, Target("main"), PREFIX, 0, Committed(), write=writing)
    made.positions = {HERE: 0}
    return made


def records(count: int) -> list[FakeRecord]:
    return [record("project", n, least("project", project_id=f"p{n}")) for n in range(count)]


async def test_what_takes_too_long_is_done_in_smaller_parts() -> None:
    writing = Writing(2, asyncpg.QueryCanceledError("canceling statement due to timeout"))
    made = applier(writing)
    await made.apply(records(8))
    assert writing.written == [2, 4, 6, 8]
    assert made.positions == {HERE: 8}


async def test_slices_are_written_in_order_and_none_after_one_that_failed() -> None:
    writing = Writing(3, KeyError("a defect"))
    made = applier(writing)
    with pytest.raises(KeyError):
        await made.apply_all([records(6)[:2], records(6)[2:6], records(8)[6:]])
    assert writing.written == [2]
    assert made.positions == {HERE: 2}


async def test_the_last_slice_is_awaited_by_the_next_call() -> None:
    writing = Writing(9, KeyError("never"))
    writing.may_go.clear()
    made = applier(writing)
    await made.apply_all([records(2)])
    assert made.positions == {HERE: 0}
    assert made.ahead == {HERE: 2}
    more = asyncio.create_task(made.apply_all([records(5)[2:]]))
    await asyncio.wait({more}, timeout=0.1)
    assert not more.done(), "a slice was written before the one before it was durable"
    writing.may_go.set()
    await more
    await made.settled()
    assert writing.written == [2, 5]
    assert made.positions == made.ahead == {HERE: 5}


async def test_a_write_that_fails_after_the_call_fails_the_next_one_once() -> None:
    made = applier(Writing(2, KeyError("a defect")))
    await made.apply_all([records(3)])
    await made.finished()
    assert made.ahead == {HERE: 0}
    with pytest.raises(KeyError):
        await made.apply_all([records(5)[3:]])
    await made.settled()
    assert made.positions == {HERE: 0}


async def test_what_is_given_up_ends_before_anything_else_begins() -> None:
    writing = Writing(9, KeyError("never"))
    writing.may_go.clear()
    made = applier(writing)
    await made.apply_all([records(2)])
    waiting = asyncio.create_task(made.apply_all([records(4)[2:]]))
    await asyncio.wait({waiting}, timeout=0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await made.settled()
    assert writing.written == []
    assert made.positions == made.ahead == {HERE: 0}


class Session:
    """A connection that only takes note of what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator["Session"]:
        yield self

    async def execute(self, statement: str) -> None:
        self.told.append(statement)

    def is_closed(self) -> bool:
        return False


async def test_a_record_that_was_given_longer_keeps_it_whatever_comes_between() -> None:
    session = Session()
    errors = [asyncpg.TransactionTimeoutError("x"), asyncpg.DeadlockDetectedError("x"), None]

    async def write(*_: object) -> None:
        session.told.append("written")
        if (error := errors.pop(0)) is not None:
            raise error

    needs = Dependencies(session, asyncio.Event())  # type: ignore[arg-type]
    made = Applier(needs, Target("main"), PREFIX, 0, Committed(), write=write)
    made.positions = {HERE: 0}
    await made.apply(records(1))
    assert session.told == ["written", *[LONGER, "written", AS_BEFORE] * 2]
    assert not needs.database.failures


async def test_a_defect_is_no_bad_record() -> None:
    with pytest.raises(KeyError):
        await applier(Writing(0, KeyError("a defect"))).apply(records(1))
