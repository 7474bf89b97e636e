"""Which partitions are sought, and which hold nothing more at the end of their log."""

import asyncio
from typing import cast

import asyncpg
import pytest

from projector.dependencies import Dependencies
from projector.kafka.seeking import Rest, Seeker, rests
from projector.writing.batch import Partition
from tests.records import FakeRecord

HERE = Partition("t", 0)


@pytest.mark.parametrize(
    ("known", "client", "found"),
    [
        pytest.param(None, 5, None, id="the client has delivered all it passed"),
        pytest.param(None, 7, Rest(5, 7, 1), id="seen for the first time"),
        pytest.param(Rest(5, 7, 1), 7, Rest(5, 7, 2), id="seen again: to be read once more"),
        pytest.param(Rest(5, 7, 2), 5, Rest(5, 7, 2), id="sought, not answered yet"),
        pytest.param(Rest(5, 7, 2), 7, Rest(5, 7, 3), id="read twice: nothing is there"),
        pytest.param(Rest(5, 7, 3), 9, Rest(5, 9, 1), id="more has come: from the beginning"),
        pytest.param(Rest(3, 5, 3), 7, Rest(5, 7, 1), id="the position has moved: likewise"),
    ],
)
def test_the_end_of_a_log_counts_as_read_once_it_was_read_twice(
    known: Rest | None, client: int, found: Rest | None
) -> None:
    before = {} if known is None else {HERE: known}
    after = {} if found is None else {HERE: found}
    assert rests(before, {HERE: 5}, {HERE: client}) == after


@pytest.mark.parametrize(
    ("position", "offset", "sought"),
    [
        pytest.param(None, 5, True, id="no position: not ours yet"),
        pytest.param(5, 5, False, id="in sequence"),
        pytest.param(5, 3, False, id="fetched twice: passed over by offset"),
        pytest.param(5, 6, True, id="a hole"),
    ],
)
def test_records_that_do_not_start_at_the_position_are_out_of_sequence(
    position: int | None, offset: int, sought: bool
) -> None:
    seeker = Seeker(Dependencies(cast(asyncpg.Pool, None), asyncio.Event()))
    known = {} if position is None else {HERE: position}
    expected = {HERE} if sought else set()
    assert seeker.out_of_sequence([FakeRecord("t", 0, offset, value=b"{}")], known) == expected
