"""Whoever no longer stands where the stored position does writes nothing."""

import asyncpg
import pytest

from projector.errors import PositionConflict
from tests.applying import workers
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
    views = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    [counted] = await views.fetch("SELECT next_offset, applied, dead FROM position")
    assert tuple(counted) == (2, 1, 1)
    assert await views.fetchval("SELECT generations FROM runfold.dead_letter") == ["main"]
    await views.close()
