"""Events per second from the topics into the views, against the floor of cost."""

import asyncpg
import pytest

from tests.bench.backlog import APACHE, EMBEDDED, SEED, Fresh, fill
from tests.bench.draining import copy_raw, drain
from tests.bench.figures import Figures, Reference
from tests.bench.multiplied import multiply

FULL = 200_000
QUICK = 10_000
DAYS, RUNS_A_DAY = 119, 1_000
"""A day has 42,000 events, so this is five million."""

SIZE = """
    SELECT sum(pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass))::bigint
    FROM pg_tables WHERE schemaname IN ('g_main', 'runfold')
"""

pytestmark = pytest.mark.bench


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("broker_name", "many"),
    [pytest.param(EMBEDDED, QUICK, id="quick"), pytest.param(APACHE, FULL, id="apache")],
)
async def test_live(
    figures: Figures,
    fresh: Fresh,
    *,
    bootstrap: str,
    broker_name: str,
    topic_prefix: str,
    many: int,
) -> None:
    backlog = await fill(bootstrap, topic_prefix, many)
    async with fresh() as database_url:
        floor = copy_raw(backlog, database_url)
    async with fresh() as database_url:
        alone, most = await drain(backlog, database_url)
        size = await _size(database_url)
    raw = Reference("raw record", backlog.raw_bytes / many)
    figures.add(f"floor, {broker_name}", floor, "events/s", None, many)
    name = f"live, one worker, {broker_name}"
    figures.add(name, alone, "events/s", Reference("floor", floor), many)
    figures.add(f"memory of a worker, {broker_name}", most / 1e6, "MB")
    figures.add("database per event", size / many, "bytes", raw, many)
    if many == QUICK:
        return
    async with fresh() as database_url:
        two, _ = await drain(backlog, database_url, workers=2)
    name = f"live, two workers, {broker_name}"
    figures.add(name, two, "events/s", Reference("one worker", alone), many)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("broker_name", [pytest.param(APACHE, id="large")])
async def test_an_event_costs_the_same_with_a_long_history_in_the_views(
    figures: Figures, fresh: Fresh, *, bootstrap: str, broker_name: str, topic_prefix: str
) -> None:
    backlog = await fill(bootstrap, topic_prefix, FULL, SEED + 1)
    async with fresh() as database_url:
        none, _ = await drain(backlog, database_url)
    async with fresh() as database_url:
        await multiply(database_url, DAYS, RUNS_A_DAY, whole=True)
        after, _ = await drain(backlog, database_url)
    name = f"live, five million events in the views before, {broker_name}"
    reference = Reference("none before", none)
    figures.add(name, after, "events/s", reference, FULL)


async def _size(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(SIZE))
    finally:
        await connection.close()
