"""The one law: the views are a function of the set of valid events, and of nothing else.

Random histories are shuffled, repeated, laid on partitions and cut into polls, and applied by up
to three workers at once to a real database; then everything the API says is held against the
reference model. RUNFOLD_TEST_HISTORIES sets how many (500 by default).
"""

import os
from collections.abc import AsyncIterator

import pytest

from tests.histories import history
from tests.property.bench import MOST_WORKERS, Bench, open_bench

HISTORIES = int(os.environ.get("RUNFOLD_TEST_HISTORIES", "500"))
BLOCK = 50


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with open_bench(database_url) as opened:
        yield opened


@pytest.mark.parametrize("first", range(0, HISTORIES, BLOCK))
async def test_the_views_are_a_function_of_the_events(bench: Bench, first: int) -> None:
    for seed in range(first, min(first + BLOCK, HISTORIES)):
        records = history(seed, bad=seed % 3 == 0)
        await bench.check(records, seed, count=1 + seed % MOST_WORKERS)
