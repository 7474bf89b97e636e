"""The one law: the views are a function of the set of valid events, and of nothing else.

Random histories are shuffled, repeated, laid on partitions and cut into polls, and applied by up
to three workers at once to a real database; then everything the API says is held against the
reference model. RUNFOLD_TEST_HISTORIES sets how many (500 by default).
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.histories import history
from tests.property.bench import MOST_WORKERS, Bench, open_bench
from tests.reference import Record

HISTORIES = int(os.environ.get("RUNFOLD_TEST_HISTORIES", "500"))
BLOCK = 50
"""Histories on one database."""
SIZE = 60
SEEDS = st.integers(0, 2**32 - 1)


def thinned(seed: int, kept: list[int]) -> list[Record]:
    """A history with some records left out, for any subset is a history too: thus it shrinks."""
    found = history(seed, SIZE, bad=True)
    return [record for record, wanted in zip(found, kept, strict=True) if wanted]


histories = st.builds(thinned, SEEDS, st.lists(st.integers(0, 9), min_size=SIZE, max_size=SIZE))


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """A loop that outlives the examples, as the connections on it must."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def bench(loop: asyncio.Runner, database_url: str) -> Iterator[Bench]:
    stack = AsyncExitStack()
    yield loop.run(stack.enter_async_context(open_bench(database_url)))
    loop.run(stack.aclose())


@pytest.mark.parametrize("first", range(0, HISTORIES, BLOCK))
def test_the_views_are_a_function_of_the_events(
    loop: asyncio.Runner, bench: Bench, first: int
) -> None:
    for seed in range(first, min(first + BLOCK, HISTORIES)):
        # a third have bad records, and as many of those go to one, two and three workers
        records = history(seed, bad=seed % 3 == 0)
        loop.run(bench.check(records, seed, count=1 + seed // 3 % MOST_WORKERS))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=histories, seed=SEEDS, count=st.integers(1, MOST_WORKERS))
def test_a_history_that_breaks_the_law_shrinks_to_what_matters(
    loop: asyncio.Runner, bench: Bench, records: list[Record], seed: int, count: int
) -> None:
    loop.run(bench.check(records, seed, count))
