"""Both processes' metrics, scraped from a running stack and held against the database."""

import asyncio

import asyncpg
import pytest

from contracts import metrics
from contracts.errors import SettingError
from contracts.topics import TOPICS, topic_name
from projector.bootstrap import run_worker
from projector.demo.ports import free_port
from tests.histories import history
from tests.live import applied, produce, running_worker, settings_of
from tests.scraping import scrape
from tests.stack.waiting import until

DEADLINE_S = 30

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
        await until(lambda: _is_caught_up(port), DEADLINE_S, "no lag in any partition")
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
        assert seen.by("runfold_dead_letters_total", "reason") == {
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


async def _is_caught_up(port: int) -> bool:
    lags = (await scrape(port)).each("runfold_partition_lag_events")
    return len(lags) == len(TOPICS) * 3 and not any(lags)


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
