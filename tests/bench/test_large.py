"""Whether events cost the same when there is a long history in the views already."""

import asyncio

import pytest

from tests.bench import draining
from tests.bench.backlog import SEED, Backlog, fill
from tests.bench.databases import Fresh
from tests.bench.figures import Figures, Reference
from tests.bench.multiplied import multiply

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

BACKLOG = 200_000
RUNS_A_DAY = 1_000
DAYS = 119
"""A day has 42,000 events, so this is five million."""


@pytest.mark.parametrize("broker_name", [pytest.param("Apache Kafka", id="large")])
def test_flat(
    figures: Figures, fresh: Fresh, *, bootstrap: str, broker_name: str, topic_prefix: str
) -> None:
    none, many = asyncio.run(_measure(fresh, bootstrap, topic_prefix))
    reference = Reference("none before", none)
    name = f"live, five million events in the views before, {broker_name}"
    figures.add(name, many, "events/s", reference, BACKLOG)


async def _measure(fresh: Fresh, bootstrap: str, prefix: str) -> tuple[float, float]:
    backlog = await fill(bootstrap, prefix, BACKLOG, SEED + 1)
    async with fresh() as database_url:
        none = await _rate(backlog, database_url)
    async with fresh() as database_url:
        await multiply(database_url, DAYS, RUNS_A_DAY, whole=True)
        return none, await _rate(backlog, database_url)


async def _rate(backlog: Backlog, database_url: str) -> float:
    return (await draining.drain(backlog, database_url)).events_per_second
