"""A database or a broker that comes late, goes away and comes back, seen from the API."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from api.stream import feed
from projector.demo.broker import EmbeddedBroker
from projector.demo.postgres import EmbeddedPostgres
from projector.migrate import migrate
from tests.api_rows import bearer, problem_of, serving
from tests.deciding import Case, Place, Told, all_published, key_file, waiting
from tests.scraping import Scrape
from tests.stack.topics import create_topic
from tests.stack.waiting import until
from tests.streams import listening

pytestmark = pytest.mark.crash


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(durable=False) as server:
        yield server


async def test_a_database_is_waited_for_by_reads_decisions_and_the_relay(
    own_postgres: EmbeddedPostgres, broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path
) -> None:
    place = Place(broker.bootstrap, f"{topic_prefix}approval-command")
    await create_topic(*place)
    settings = {"kafka_bootstrap": broker.bootstrap, "topic_prefix": topic_prefix}
    key = key_file(tmp_path)
    async with serving(own_postgres.url, approval_key=key, **settings) as client:
        case = Case(client, Told(own_postgres.url))
        await client.fails("/v1/runs", 503, "not_migrated")
        problem_of(await case.decide(), 503, "not_migrated")
        await asyncio.to_thread(migrate, own_postgres.url)
        await decided_and_published(case)
        for end in (own_postgres.stop, own_postgres.kill):
            await asyncio.to_thread(end)
            answer = await client.ask("/v1/runs")
            problem_of(answer, 503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            problem_of(await case.decide(), 503, "database_unavailable")
            problem_of(await client.http.get("/readyz"), 503, "database_unavailable")
            assert (await client.http.get("/healthz")).status_code == 200
            await asyncio.to_thread(own_postgres.start)
            await decided_and_published(case)
    assert len(await place.events()) == 3


async def decided_and_published(case: Case) -> None:
    """The next version is decided on once the database answers, and the decision goes out."""

    async def answered() -> bool:
        return (await case.client.ask("/v1/runs")).status_code == 200

    await until(answered, 10, "an answer after the outage")
    await case.waits()
    assert (await case.decide()).status_code == 202
    await all_published(case.told.url)


async def test_a_broker_that_is_away_is_waited_for_and_keeps_nobody_waiting(
    database_url: str, tmp_path: Path
) -> None:
    told = Told(database_url)
    await told(*(waiting(run_id=str(uuid4())) for _ in range(3)))
    with EmbeddedBroker() as broker:
        await asyncio.to_thread(broker.stop)
        settings = {"approval_key": key_file(tmp_path), "kafka_bootstrap": broker.bootstrap}
        async with serving(database_url, **settings) as client:
            case = Case(client, told)
            await case.waits()
            began = time.monotonic()
            command = (await case.decide()).json()
            path = f"/v1/approvals/commands/{command['command_id']}"
            assert (await client.get(path))["status"] == command["status"] == "pending"
            assert time.monotonic() - began < 3

            async def is_away() -> bool:
                return not await up(client.http, "broker")

            await until(is_away, 30, "the outage to be told")
            await asyncio.to_thread(broker.start)
            await all_published(database_url)
            assert (await client.get(path))["status"] == "published"
            await until(lambda: up(client.http, "broker"), 30, "its end to be told")


async def up(http: httpx.AsyncClient, dependency: str) -> bool:
    """Whether the API says that this is there."""
    told = Scrape((await http.get("/metrics")).text)
    return bool(told.total("runfold_api_dependency_up", dependency=dependency))


async def test_an_outage_that_no_follower_outlasts_is_over_when_the_database_is_back(
    own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "JOIN_S", 0.5)
    await asyncio.to_thread(migrate, own_postgres.url)
    async with (
        listening(own_postgres.url) as served,
        httpx.AsyncClient(base_url=served.url, timeout=20) as http,
    ):
        await asyncio.to_thread(own_postgres.kill)
        answer = await http.get("/v1/stream", headers=bearer(served.settings))
        problem_of(answer, 503, "database_unavailable")
        assert not await up(http, "log of changes")
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: up(http, "log of changes"), 30, "the log of changes")


async def test_without_a_database_there_are_metrics() -> None:
    async with serving("postgresql://127.0.0.1:1/nowhere") as client:
        assert (await client.ask("/v1/runs")).status_code == 503
        seen = Scrape((await client.http.get("/metrics")).text)
    assert seen.total("runfold_api_server_problems_total", code="database_unavailable") == 1
    assert not seen.each("runfold_outbox_pending")
