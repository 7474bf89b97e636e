"""The detail of a run with 200 items, against one query a table over normalised tables."""

import asyncio
from collections.abc import Iterator
from functools import partial
from json import loads
from typing import Any

import asyncpg
import pytest

from tests.api_rows import numbered
from tests.applying import workers
from tests.bench import normalised
from tests.bench.databases import Fresh
from tests.bench.figures import Figures, Reference
from tests.bench.multiplied import multiply
from tests.bench.normalised import Detail
from tests.bench.serving import serving
from tests.bench.timing import timed
from tests.unit.event_samples import RUN, least

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

DAYS = 20
INCIDENT = "INC-20260518-BENCH"
OF_EACH = {
    "step-journal": 80,
    "mcp-gateway-audit": 80,
    "outbound-message": 20,
    "mcp-legacy-audit": 10,
    "remediation-evidence": 10,
}
"""Two hundred items."""
ENTITY = {
    "step-journal": "step_id",
    "mcp-gateway-audit": "call_id",
    "outbound-message": "message_id",
    "mcp-legacy-audit": "id",
    "remediation-evidence": "id",
}


@pytest.mark.parametrize(
    ("runs", "times"), [pytest.param(40, 100, id="quick"), pytest.param(250, 1_000, id="full")]
)
def test_detail(figures: Figures, fresh: Fresh, *, runs: int, times: int) -> None:
    asyncio.run(_measure(figures, fresh, runs, times))


async def _measure(figures: Figures, fresh: Fresh, runs: int, times: int) -> None:
    async with fresh() as database_url:
        await multiply(database_url, DAYS, runs)
        records = numbered(_events(), partition=1)
        async with workers(database_url, 1) as (worker,):
            await worker.own(records)
            await worker.poll(records)
        connection = await asyncpg.connect(database_url)
        await normalised.create(connection)
        joins = Detail(connection)
        async with serving(database_url) as api, api.client() as client:
            answer = loads(await client.get(f"/v1/runs/{RUN}"))
            assert await joins.counts(RUN) == {
                name: answer["counts"][name] for name in joins.COUNTED
            }
            assert sum(answer["counts"][name] for name in joins.COUNTED) == sum(OF_EACH.values())
            taken = await timed(partial(client.get, f"/v1/runs/{RUN}"), times)
        reference = await timed(partial(joins.rows, RUN), times, at_most_s=10)
        await connection.close()
    name = "detail of a run with 200 items"
    figures.add(f"{name}, p50", taken.p50, "ms", Reference("joins", reference.p50), times)
    figures.add(f"{name}, p99", taken.p99, "ms", Reference("joins", reference.p99), times)


def _events() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "run-state", least("run-state", run_id=RUN, trigger_ref=INCIDENT)
    for suffix, many in OF_EACH.items():
        about = (
            {"incident_id": INCIDENT}
            if suffix in {"mcp-legacy-audit", "remediation-evidence"}
            else {"run_id": RUN}
        )
        for number in range(many):
            yield suffix, least(suffix, **about, **{ENTITY[suffix]: f"e{number}"})
