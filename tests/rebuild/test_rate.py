"""A rebuild takes no more events a second than it may."""

import time

import pytest

from tests.rebuild.place import Place
from tests.stack.waiting import until

RATE = 50
DONE = "SELECT coalesce(sum(next_offset - first_offset), 0)::int FROM g_second.position"


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_no_more_events_a_second_than_are_allowed(place: Place, workers: str) -> None:
    process = await place.begun(
        *("rebuild", "--name", "second", "--no-activate"),
        *("--workers", workers, "--max-rate", str(RATE)),
    )
    await place.phase("second", ["load"])

    async def loaded(events: int) -> bool:
        return int(await place.connection.fetchval(DONE)) >= events

    await until(lambda: loaded(1), 60, "the first events to be loaded")
    began = time.monotonic()
    await until(lambda: loaded(place.sent), 60, "all to be loaded")
    # a second's worth is taken at once, and a busy machine may show it late
    assert time.monotonic() - began >= (place.sent - 3 * RATE) / RATE
    _, said = await process.communicate()
    assert process.returncode == 0, said
    assert await place.differences("main", "second") == []
