"""From a producer's send to the API's answer, while events come at a steady rate."""

import time
from functools import partial

import pytest

from tests.bench.backlog import SEED, Site, on_brokers
from tests.bench.draining import worker
from tests.bench.serving import serving
from tests.bench.stream import EVENTS_PER_SECOND, asked_again, flowing, held
from tests.bench.timing import Times

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

WARM_UP = 0.25
"""Part of the time that is measured for which everything may get going before."""


@on_brokers("seconds", 2.0, 15.0)
async def test_freshness(site: Site, seconds: float) -> None:
    topics = await site.fill()
    async with (
        site.fresh() as database_url,
        worker(topics, database_url),
        serving(database_url) as api,
        api.client() as client,
        flowing(topics, SEED) as shown,
    ):
        for how, ask in {"asked again and again": asked_again, "held by wait_for": held}.items():
            visible = partial(shown, client, ask)
            times = Times()
            for measured, limit in ((Times(), WARM_UP * seconds), (times, seconds)):
                began = time.monotonic()
                while time.monotonic() < began + limit:
                    await measured.take(visible)
            name = f"freshness at {EVENTS_PER_SECOND} events/s, {how}, {site.name}"
            site.figures.percentiles(name, times, len(times))
