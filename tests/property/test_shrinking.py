"""The law again, by Hypothesis: slower, but a history that breaks it shrinks to what matters."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.histories.strategies import histories, seeds
from tests.property.bench import MOST_WORKERS, Bench, open_bench
from tests.reference import Record


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


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=histories(bad=True), seed=seeds, count=st.integers(1, MOST_WORKERS))
def test_the_views_are_a_function_of_the_events(
    loop: asyncio.Runner, bench: Bench, records: list[Record], seed: int, count: int
) -> None:
    loop.run(bench.check(records, seed, count))
