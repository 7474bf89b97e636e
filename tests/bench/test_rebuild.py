"""A rebuild of the whole history: alone, and beside a worker that keeps the live views fresh."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import psutil
import pytest

from projector.database import connected
from tests.bench.backlog import SEED, Site, on_brokers
from tests.bench.draining import copy_raw, worker
from tests.bench.figures import Reference
from tests.bench.serving import serving
from tests.bench.stream import EVENTS_PER_SECOND, flowing, held
from tests.bench.timing import Times
from tests.command import running
from tests.stack.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

FULL: Final = 500_000
QUICK: Final = 10_000
MOST_BYTES: Final = 500_000_000
MOST_P99_MS: Final = 1000
WARM_UP_S: Final = 5.0

SPENT: Final = """
    SELECT extract(epoch FROM g.activated_at - r.started_at)::float8
    FROM runfold.generation AS g
    JOIN runfold.rebuild AS r ON r.generation = g.name
    WHERE g.name = $1
"""


@on_brokers("many", QUICK, FULL)
async def test_rebuild(site: Site, many: int) -> None:
    backlog = await site.fill(many)
    async with site.fresh() as database_url:
        floor = Reference("floor", copy_raw(backlog, database_url))
    async with site.fresh() as database_url:
        variables = backlog.variables(database_url, "group")
        seconds, most = await _rebuild(variables, "alone", partial(asyncio.sleep, 0.1))
        site.figures.add(f"rebuild, {site.name}", many / seconds, "events/s", floor, many)
        site.figures.add(f"memory of a process of it, {site.name}", most / 1e6, "MB")
        if many == QUICK:
            return
        api_of = serving(database_url)
        async with worker(backlog, database_url), api_of as api, api.client() as client:

            async def is_ready() -> bool:
                return (await client.ask("GET", "/readyz"))[0] == 200

            await until(is_ready, 60, "a worker that has caught up")
            async with flowing(backlog, SEED + 1) as shown:
                visible = partial(shown, client, held)
                times = Times()
                warm = time.monotonic() + WARM_UP_S
                while time.monotonic() < warm:
                    await visible()
                seconds, _ = await _rebuild(variables, "beside", partial(times.take, visible))
        beside = f"beside {EVENTS_PER_SECOND} live events/s, {site.name}"
        site.figures.add(f"rebuild {beside}", many / seconds, "events/s", None, many)
        site.figures.percentiles(f"freshness during a rebuild {beside}", times)
        assert times.p99 < MOST_P99_MS


async def _rebuild(
    variables: Mapping[str, str], name: str, meanwhile: Callable[[], Awaitable[object]]
) -> tuple[float, int]:
    """Rebuild; return the seconds to the swap and the most bytes one of its processes held."""
    with running("rebuild", "--name", name, variables=variables) as process:
        most = 0
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                for each in (parent, *parent.children(recursive=True)):
                    most = max(most, each.memory_info().rss)
            await meanwhile()
        said = process.communicate()[1].decode()
    assert process.returncode == 0, said
    assert most < MOST_BYTES
    async with connected(variables["RUNFOLD_DATABASE_URL"]) as connection:
        return float(await connection.fetchval(SPENT, name)), most
