"""What breaks under the API: servers that go and come back, connections, what nobody foresaw."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from api import stream
from api.decisions.relay import Relay
from projector.migrate import migrate
from tests.api_rows import bearer, problem_of, serving
from tests.deciding import Case, Outbox, Told, key_file
from tests.scraping import Scrape
from tests.stack.goodbye import goodbyes
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres
from tests.stack.waiting import until
from tests.streams import listening


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(durable=False) as server:
        yield server


@pytest.mark.crash
async def test_a_database_is_waited_for_by_reads_decisions_and_the_relay(
    own_postgres: EmbeddedPostgres, broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path
) -> None:
    outbox = Outbox(own_postgres.url, broker.bootstrap, topic_prefix, key_file(tmp_path))
    await outbox.open()
    async with outbox.api() as client:
        case = Case(client, outbox.told)

        async def answered() -> bool:
            return (await client.ask("/v1/runs")).status_code == 200

        async def decided_and_published() -> None:
            await until(answered, 10, "an answer after the outage")
            await case.waits()
            assert (await case.decide()).status_code == 202
            await outbox.leaves()

        await client.fails("/v1/runs", 503, "not_migrated")
        problem_of(await case.decide(), 503, "not_migrated")
        await asyncio.to_thread(migrate, own_postgres.url)
        await decided_and_published()
        for end in (own_postgres.stop, own_postgres.kill):
            await asyncio.to_thread(end)
            answer = await client.ask("/v1/runs")
            problem_of(answer, 503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            problem_of(await case.decide(), 503, "database_unavailable")
            problem_of(await client.http.get("/readyz"), 503, "database_unavailable")
            assert (await client.http.get("/healthz")).status_code == 200
            await asyncio.to_thread(own_postgres.start)
            await decided_and_published()
    assert len(await outbox.published()) == 3


@pytest.mark.crash
async def test_a_broker_that_is_away_is_waited_for_and_keeps_nobody_waiting(
    database_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    with EmbeddedBroker() as broker:
        outbox = Outbox(database_url, broker.bootstrap, topic_prefix, key_file(tmp_path))
        await asyncio.to_thread(broker.stop)
        async with outbox.api() as client:
            case = Case(client, outbox.told)
            await case.waits()
            began = time.monotonic()
            command = (await case.decide()).json()
            path = f"/v1/approvals/commands/{command['command_id']}"
            assert (await client.get(path))["status"] == command["status"] == "pending"
            assert time.monotonic() - began < 3
        # what was decided outlives the API
        async with outbox.api() as client:
            await until(lambda: up(client.http, "broker", False), 30, "the outage to be told")
            await asyncio.to_thread(broker.start)
            await outbox.leaves()
            assert (await client.get(path))["status"] == "published"
            await until(lambda: up(client.http, "broker"), 30, "its end to be told")


async def up(http: httpx.AsyncClient, dependency: str, wanted: bool = True) -> bool:
    """Whether the API says that this is there, or that it is not where that is wanted."""
    told = Scrape((await http.get("/metrics")).text)
    return bool(told.total("runfold_api_dependency_up", dependency=dependency)) is wanted


@pytest.mark.crash
async def test_an_outage_that_no_follower_outlasts_is_over_when_the_database_is_back(
    own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "JOIN_S", 0.5)
    await asyncio.to_thread(migrate, own_postgres.url)
    async with (
        listening(own_postgres.url) as served,
        httpx.AsyncClient(base_url=served.url, timeout=20) as http,
    ):
        await asyncio.to_thread(own_postgres.kill)
        answer = await http.get("/v1/stream", headers=bearer(served.settings))
        problem_of(answer, 503, "database_unavailable")
        assert await up(http, "log of changes", False)
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: up(http, "log of changes"), 30, "the log of changes")


async def test_without_a_database_there_are_metrics() -> None:
    async with serving("postgresql://127.0.0.1:1/nowhere") as client:
        await client.fails("/v1/runs", 503, "database_unavailable")
        seen = Scrape((await client.http.get("/metrics")).text)
    assert seen.total("runfold_api_server_problems_total", code="database_unavailable") == 1
    assert not seen.each("runfold_outbox_pending")


async def test_a_database_that_says_goodbye_fails_one_request_and_not_the_next(
    database_url: str, tmp_path: Path
) -> None:
    key = key_file(tmp_path)
    async with goodbyes(database_url) as way, serving(way.url, approval_key=key) as client:
        await client.get("/v1/projects")
        await way.said()
        await client.fails("/v1/projects", 503, "database_unavailable")
        await client.get("/v1/projects")

        case = Case(client, Told(database_url))
        await case.waits()
        wrong = {"decision": "approve", "run_version": 1}
        assert (await case.decide(wrong)).status_code == 412
        await way.said()
        problem_of(await case.decide(), 503, "database_unavailable")
        assert (await case.decide()).status_code == 202


async def test_the_relay_outlives_a_fault(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise LookupError("nobody foresaw it")

    database = "database of the outbox"
    async with outbox.api() as client:
        case = Case(client, outbox.told)
        await case.waits()
        with monkeypatch.context() as patched, capture_logs() as lines:
            patched.setattr(Relay, "_publish", broken)
            assert (await case.decide()).status_code == 202
            await until(lambda: up(client.http, database, False), 20, "the fault to be seen")
        assert any(line["log_level"] == "error" and line["exc_info"] for line in lines)
        await outbox.leaves()
        await until(lambda: up(client.http, database), 20, "the end of it to be seen")
