"""The detail of a run with 200 items, against one query a table over normalised tables."""

from collections.abc import Iterator
from functools import partial
from json import loads
from typing import Any

import asyncpg
import pytest

from tests.api_rows import numbered, project
from tests.bench import normalised
from tests.bench.backlog import Fresh
from tests.bench.figures import Figures, Reference
from tests.bench.multiplied import multiply
from tests.bench.serving import serving
from tests.bench.timing import timed
from tests.unit.event_samples import RUN, least

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

DAYS = 20
INCIDENT = "INC-20260518-BENCH"
OF_EACH = {
    "step-journal": ("step_id", 80),
    "mcp-gateway-audit": ("call_id", 80),
    "outbound-message": ("message_id", 20),
    "mcp-legacy-audit": ("id", 10),
    "remediation-evidence": ("id", 10),
}
"""Two hundred items: what names an item, and how many there are."""


@pytest.mark.parametrize(
    ("runs", "times"), [pytest.param(40, 100, id="quick"), pytest.param(250, 1_000, id="full")]
)
async def test_detail(figures: Figures, fresh: Fresh, *, runs: int, times: int) -> None:
    async with fresh() as database_url:
        await multiply(database_url, DAYS, runs)
        await project(database_url, numbered(_events(), partition=1))
        connection = await asyncpg.connect(database_url)
        await normalised.create(connection)
        async with serving(database_url) as api, api.client() as client:
            told = loads(await client.get(f"/v1/runs/{RUN}"))["counts"]
            counts = await normalised.detail(connection, RUN)
            assert counts == {name: told[name] for name in counts}
            assert sum(counts.values()) == 200
            taken = await timed(partial(client.get, f"/v1/runs/{RUN}"), times)
        joins = await timed(partial(normalised.detail, connection, RUN), times, at_most_s=10)
        await connection.close()
    name = "detail of a run with 200 items"
    figures.add(f"{name}, p50", taken.p50, "ms", Reference("joins", joins.p50), times)
    figures.add(f"{name}, p99", taken.p99, "ms", Reference("joins", joins.p99), times)


def _events() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "run-state", least("run-state", run_id=RUN, trigger_ref=INCIDENT)
    for suffix, (entity, many) in OF_EACH.items():
        about = {"incident_id": INCIDENT} if entity == "id" else {"run_id": RUN}
        for number in range(many):
            yield suffix, least(suffix, **about, **{entity: f"e{number}"})
