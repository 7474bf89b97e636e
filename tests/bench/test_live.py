"""Events per second from the topics into the views, against the floor of cost."""

import asyncpg
import pytest

from tests.bench import draining
from tests.bench.backlog import Backlog, fill
from tests.bench.databases import Fresh
from tests.bench.figures import Figures, Reference

FULL = 200_000
QUICK = 10_000

SIZE = """
    SELECT sum(pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass))::bigint
    FROM pg_tables WHERE schemaname IN ('g_main', 'runfold')
"""

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("broker_name", "many"),
    [
        pytest.param("the embedded broker", QUICK, id="quick"),
        pytest.param("the embedded broker", FULL, id="embedded"),
        pytest.param("Apache Kafka", FULL, id="apache"),
    ],
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
        floor = draining.copy_raw(backlog, database_url)
    async with fresh() as database_url:
        one = await draining.drain(backlog, database_url)
        size = await _size(database_url)
    figures.add(f"floor, {broker_name}", floor, "events/s", None, many)
    alone = one.events_per_second
    to_floor, to_one = Reference("floor", floor), Reference("one worker", alone)
    figures.add(f"live, one worker, {broker_name}", alone, "events/s", to_floor, many)
    figures.add(f"memory of a worker, {broker_name}", one.most_bytes / 1e6, "MB")
    _sizes(figures, backlog, size)
    if many == QUICK:
        return
    async with fresh() as database_url:
        two = await draining.drain(backlog, database_url, workers=2)
    both = two.events_per_second
    figures.add(f"live, two workers, {broker_name}", both, "events/s", to_one, many)


def _sizes(figures: Figures, backlog: Backlog, size: int) -> None:
    figures.add(
        "database per event",
        size / backlog.events,
        "bytes",
        Reference("raw record", backlog.raw_bytes / backlog.events),
        backlog.events,
    )


async def _size(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(SIZE))
    finally:
        await connection.close()
