"""Both processes' metrics, scraped from a running stack and held against the database."""

import asyncio

import asyncpg
import httpx
import pytest

from contracts import metrics
from contracts.decoding import Reason
from contracts.errors import SettingError
from contracts.topics import TOPICS, topic_name
from projector.demo.process import free_port
from projector.worker import run_worker
from tests.api_rows import bearer, project, serving
from tests.histories import history
from tests.live import applied, produce, running_worker, settings_of
from tests.records import record
from tests.scraping import Scrape, scrape
from tests.stack.waiting import until
from tests.streams import following, listening
from tests.unit.event_samples import OTHER, RUN, least

DEADLINE_S = 30
BAD = [record("run-state", 1, b"{"), record("run-state", 2, b"[")]

ACCOUNTED = """
    SELECT sum(applied) AS applied, sum(dead) AS dead, sum(tombstones) AS tombstone,
        sum(gaps) AS gap
    FROM g_main.position WHERE topic = $1
"""


async def test_a_worker_counts_what_it_has_committed(
    database_url: str, bootstrap: str, topic_prefix: str
) -> None:
    port = free_port()
    settings = settings_of(database_url, bootstrap, topic_prefix)
    settings = settings.model_copy(update={"metrics_port": port})
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    async with running_worker(settings):
        # with records in it that the database refuses, so that batches are halved
        sent = await produce(settings, history(31, size=400, bad=True))
        await applied(connection, sent)
        await until(lambda: _is_well(port), DEADLINE_S, "no lag in any partition, no outage")
        seen = await scrape(port)

        for topic in TOPICS:
            name = topic_name(topic_prefix, topic.suffix)
            row = await connection.fetchrow(ACCOUNTED, name)
            for outcome, count in (row or {}).items():
                assert sum(seen.each("runfold_records_total", topic=name, outcome=outcome)) == (
                    count or 0
                ), (name, outcome)
        rows = await connection.fetch("SELECT reason, count(*) FROM dead_letter GROUP BY reason")
        assert "rejected" in {reason for reason, _ in rows}
        assert seen.by("runfold_dead_letters_total", "reason") == dict.fromkeys(Reason, 0) | {
            row["reason"]: row["count"] for row in rows
        }
        assert seen.total("runfold_poll_records_sum") >= sent
        assert seen.total("runfold_poll_seconds_count") == seen.total("runfold_poll_records_count")
        assert seen.total("runfold_freshness_seconds_count") > 0
        assert seen.total("runfold_freshness_seconds_sum") > 0
        assert seen.total("runfold_dependency_up", dependency="database") == 1
        assert seen.total("runfold_dependency_up", dependency="broker") == 1
        assert len(seen.each("runfold_partition_lag_seconds")) == len(TOPICS) * 3
        assert max(seen.each("runfold_partition_lag_seconds")) < 10
        given = {name for each in metrics.PROJECTOR for name in each.series()}
        assert given <= seen.names()
        assert {name for name in seen.names() if name.startswith("runfold_")} <= {
            *given,
            *(f"{each.name}_created" for each in metrics.PROJECTOR),
        }
    await connection.close()


async def _is_well(port: int) -> bool:
    seen = await scrape(port)
    lags = seen.each("runfold_partition_lag_events")
    # a broker that has just started has no coordinator for a while
    up = seen.each("runfold_dependency_up")
    return len(lags) == len(TOPICS) * 3 and not any(lags) and all(up)


async def test_a_worker_tells_of_a_database_that_is_away(bootstrap: str, topic_prefix: str) -> None:
    port, nowhere = free_port(), f"postgresql://127.0.0.1:{free_port()}/nowhere"
    settings = settings_of(nowhere, bootstrap, topic_prefix)
    settings = settings.model_copy(update={"metrics_port": port})
    stopping = asyncio.Event()
    worker = asyncio.create_task(run_worker(settings, stopping))
    try:

        async def is_told() -> bool:
            seen = await scrape(port)
            failures = seen.total("runfold_dependency_failures_total", dependency="database")
            return failures > 0 and not seen.total("runfold_dependency_up", dependency="database")

        await until(lambda: _answers(port), DEADLINE_S, "metrics to be given")
        await until(is_told, DEADLINE_S, "the outage to be told")
        taken = settings.model_copy(update={"metrics_port": port})
        with pytest.raises(SettingError, match="RUNFOLD_METRICS_PORT"):
            await run_worker(taken, asyncio.Event())
    finally:
        stopping.set()
        await worker


async def _answers(port: int) -> bool:
    try:
        await scrape(port)
    except OSError:
        return False
    return True


async def test_the_api_tells_what_it_has_answered(database_url: str) -> None:
    await project(database_url, [record("run-state", 0, least("run-state")), *BAD])
    async with listening(database_url, stream_connections=7) as served:
        async with httpx.AsyncClient(base_url=served.url) as http:
            said = bearer(served.settings)
            for path in (f"/v1/runs/{RUN}", f"/v1/runs/{OTHER}", f"/v1/runs/{RUN}"):
                await http.get(path, headers=said)
            await http.get("/nowhere", headers=said)
            await http.get(
                "/v1/runs", params={"wait_for": "t:0:9", "wait_timeout": 0}, headers=said
            )
            async with following(served), following(served):
                seen = Scrape((await http.get("/metrics")).text)
        route = "/v1/runs/{run_id}"
        assert seen.total("runfold_api_requests_total", route=route, status="200") == 2
        assert seen.total("runfold_api_requests_total", route=route, status="404") == 1
        assert seen.total("runfold_api_requests_total", route="unknown", status="404") == 1
        assert seen.total("runfold_api_request_seconds_count", route=route) == 3
        assert seen.total("runfold_api_server_problems_total", code="not_yet") == 1
        assert seen.total("runfold_api_streams") == 2
        assert seen.total("runfold_api_streams_limit") == 7
        # itself and the two streams
        assert seen.total("runfold_api_requests_in_progress") == 3
        assert seen.by("runfold_dead_letters_parked", "reason") == {"malformed": 2}
        assert seen.total("runfold_outbox_pending") == 0
        assert seen.total("runfold_outbox_age_seconds") == 0
        given = {name for each in metrics.API for name in each.series()}
        assert given <= seen.names()


async def test_the_api_tells_how_long_a_decision_has_waited(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        """
        INSERT INTO runfold.command (command_id, run_id, project_id, run_version, decision,
            approver_id, new_state, decided_at, event, published_at)
        VALUES
            (gen_random_uuid(), $1, 'p', 1, 'approve', 'a', 'running', now() - interval '9 s',
                '', NULL),
            (gen_random_uuid(), $1, 'p', 2, 'approve', 'a', 'running', now() - interval '5 s',
                '', NULL),
            (gen_random_uuid(), $1, 'p', 3, 'approve', 'a', 'running', now() - interval '1 d',
                '', now())
        """,
        RUN,
    )
    await owner.close()
    async with serving(database_url) as client:
        seen = Scrape((await client.http.get("/metrics")).text)
    # what can be counted is there before the first of it
    assert seen.each("runfold_api_server_problems_total", code="internal") == [0]
    assert seen.total("runfold_approval_seconds") == 3600
    assert seen.total("runfold_outbox_pending") == 2
    assert 9 <= seen.total("runfold_outbox_age_seconds") < 60


async def test_without_a_database_the_api_still_gives_metrics() -> None:
    async with serving(f"postgresql://127.0.0.1:{free_port()}/nowhere") as client:
        assert (await client.ask("/v1/runs")).status_code == 503
        seen = Scrape((await client.http.get("/metrics")).text)
    assert seen.total("runfold_api_server_problems_total", code="database_unavailable") == 1
    assert not seen.each("runfold_outbox_pending")
