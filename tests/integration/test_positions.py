"""Whoever no longer stands where the stored position does writes nothing."""

import pytest

from projector.errors import PositionConflict
from tests.applying import fetch, workers
from tests.records import record
from tests.unit.event_samples import least


async def test_a_poll_that_another_worker_has_applied_leaves_nothing_behind(
    database_url: str,
) -> None:
    given = [record("run-state", 0, least("run-state")), record("run-state", 1, b"no event")]
    async with workers(database_url, 2) as (stale, other):
        for each in (stale, other):
            await each.own(given)
        await other.poll(given)
        with pytest.raises(PositionConflict):
            await stale.poll(given)
    [counted] = await fetch(database_url, "SELECT next_offset, applied, dead FROM position")
    assert tuple(counted) == (2, 1, 1)
    [letter] = await fetch(database_url, "SELECT generations FROM runfold.dead_letter")
    assert letter[0] == ["main"]
