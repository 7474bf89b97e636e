"""Events per second from the topics into the views, against the floor of cost."""

import pytest

from projector.database import connected
from tests.bench.backlog import APACHE, SEED, Site, events, on_brokers
from tests.bench.draining import copy_raw, drain
from tests.bench.figures import Reference
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
@on_brokers("many", QUICK, FULL)
async def test_live(site: Site, many: int) -> None:
    backlog = await site.fill(many)
    async with site.fresh() as database_url:
        floor = copy_raw(backlog, database_url)
    async with site.fresh() as database_url:
        alone, most = await drain(backlog, database_url)
        async with connected(database_url) as connection:
            size = int(await connection.fetchval(SIZE))
    raw = sum(len(event.key.encode()) + len(event.value) for event in events(many)) / many
    site.figures.add(f"floor, {site.name}", floor, "events/s", None, many)
    name = f"live, one worker, {site.name}"
    site.figures.add(name, alone, "events/s", Reference("floor", floor), many)
    site.figures.add(f"memory of a worker, {site.name}", most / 1e6, "MB")
    site.figures.add("database per event", size / many, "bytes", Reference("raw record", raw), many)
    if many == QUICK:
        return
    async with site.fresh() as database_url:
        two, _ = await drain(backlog, database_url, workers=2)
    name = f"live, two workers, {site.name}"
    site.figures.add(name, two, "events/s", Reference("one worker", alone), many)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("site", [pytest.param(APACHE, id="large")], indirect=True)
async def test_an_event_costs_the_same_with_a_long_history_in_the_views(site: Site) -> None:
    backlog = await site.fill(FULL, SEED + 1)
    async with site.fresh() as database_url:
        none, _ = await drain(backlog, database_url)
    async with site.fresh() as database_url:
        await multiply(database_url, DAYS, RUNS_A_DAY, whole=True)
        after, _ = await drain(backlog, database_url)
    name = f"live, five million events in the views before, {site.name}"
    site.figures.add(name, after, "events/s", Reference("none before", none), FULL)
