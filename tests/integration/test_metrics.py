"""Both processes' metrics, but for those of a worker on a broker, which the tests of delivery
hold against the database."""

import asyncio
import sys

import httpx
import pytest

from contracts.errors import SettingError
from contracts.health import Outage
from contracts.metrics import ApiMetrics
from projector.demo.process import free_port
from projector.worker import run_worker
from tests.api_rows import bearer, project
from tests.applying import fetch
from tests.live import settings_of
from tests.records import record
from tests.scraping import Scrape, catalogue, scrape
from tests.stack.waiting import until
from tests.streams import following, listening
from tests.unit.event_samples import OTHER, RUN, least

BAD = [record("run-state", 1, b"{"), record("run-state", 2, b"[")]
DECISIONS = """
    INSERT INTO runfold.command (command_id, run_id, project_id, run_version, decision,
        approver_id, new_state, decided_at, event, published_at)
    SELECT gen_random_uuid(), $1, 'p', n, 'approve', 'a', 'running', now() - age, '', published
    FROM (VALUES (1, interval '9 s', NULL), (2, '5 s', NULL), (3, '1 d', now()))
        AS made (n, age, published)
"""


async def test_a_worker_tells_of_a_database_that_is_away() -> None:
    port, nowhere = free_port(), "postgresql://127.0.0.1:1/nowhere"
    settings = settings_of(nowhere, "127.0.0.1:1", "x.").model_copy(update={"metrics_port": port})
    stopping = asyncio.Event()
    worker = asyncio.create_task(run_worker(settings, stopping))

    async def is_told() -> bool:
        try:
            seen = await scrape(port)
        except OSError:
            return False
        failures = seen.total("runfold_dependency_failures_total", dependency="database")
        return failures > 0 and not seen.total("runfold_dependency_up", dependency="database")

    try:
        await until(is_told, 30, "the outage to be told")
        with pytest.raises(SettingError, match="RUNFOLD_METRICS_PORT"):
            await run_worker(settings, asyncio.Event())
    finally:
        stopping.set()
        await worker


async def test_without_the_extra_the_setting_of_traces_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = settings_of(database_url, "127.0.0.1:1", "x.").model_copy(update={"tracing": True})
    with pytest.raises(SettingError, match=r"RUNFOLD_TRACING: .*runfold\[otel\]"):
        await run_worker(settings)


async def test_the_api_tells_what_it_has_answered(database_url: str) -> None:
    await project(database_url, [record("run-state", 0, least("run-state")), *BAD])
    async with (
        listening(database_url, stream_connections=7) as served,
        httpx.AsyncClient(base_url=served.url, headers=bearer(served.settings)) as http,
    ):
        seen = Scrape((await http.get("/metrics")).text)
        # what can be counted is there before the first of it
        assert seen.each("runfold_api_server_problems_total", code="internal") == [0]
        assert seen.total("runfold_outbox_pending") == 0
        assert seen.total("runfold_outbox_age_seconds") == 0
        await fetch(database_url, DECISIONS, RUN)
        for path in (RUN, OTHER, RUN, "counts?wait_for=t:0:9&wait_timeout=0"):
            await http.get(f"/v1/runs/{path}")
        await http.get("/some/where")
        async with following(served), following(served):
            told = (await http.get("/metrics")).text
    seen = Scrape(told)
    route = "/v1/runs/{run_id}"
    assert seen.total("runfold_api_requests_total", route=route, status="200") == 2
    assert seen.total("runfold_api_requests_total", route=route, status="404") == 1
    assert seen.total("runfold_api_requests_total", route="unknown", status="404") == 1
    assert seen.total("runfold_api_request_seconds_count", route=route) == 3
    assert not {text for text in (OTHER, "some") if text in told}
    assert seen.total("runfold_api_server_problems_total", code="not_yet") == 1
    assert seen.total("runfold_api_streams") == 2
    assert seen.total("runfold_api_streams_limit") == 7
    # itself and the two streams
    assert seen.total("runfold_api_requests_in_progress") == 3
    assert seen.by("runfold_dead_letters_parked", "reason") == {"malformed": 2}
    assert seen.total("runfold_approval_seconds") == 3600
    assert seen.total("runfold_outbox_pending") == 2
    assert 9 <= seen.total("runfold_outbox_age_seconds") < 60
    for given in catalogue(ApiMetrics([Outage("database")])):
        assert {*given.series} <= seen.names(), given.name
