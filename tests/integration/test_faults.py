"""What breaks under the API: a connection that ends in use, and a fault that nobody foresaw."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.decisions.relay import Relay
from api.stream import changes
from contracts.errors import OperationError
from projector.database import connected
from projector.demo.broker import EmbeddedBroker
from tests.api_rows import problem_of, serving
from tests.deciding import Case, Told, all_published, key_file
from tests.scraping import Scrape
from tests.stack.goodbye import Goodbyes, goodbyes
from tests.stack.topics import create_topic
from tests.stack.waiting import until
from tests.streams import Served, following, listening


@pytest.fixture
async def way(database_url: str) -> AsyncIterator[Goodbyes]:
    async with goodbyes(database_url) as way:
        yield way


async def test_a_database_that_says_goodbye_fails_one_request_and_not_the_next(
    way: Goodbyes, database_url: str, tmp_path: Path
) -> None:
    async with serving(way.url, approval_key=key_file(tmp_path)) as client:
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


async def test_a_command_says_where_it_was(way: Goodbyes) -> None:
    async def command() -> None:
        async with connected(way.url) as connection:
            await connection.execute("SELECT 1")
            await way.said()
            await connection.execute("SELECT 1")

    with pytest.raises(OperationError, match=r"127\.0\.0\.1:\d+/"):
        await command()


class Faulty:
    """Fails as long as it is told to; then it is what it stands for."""

    def __init__(self, genuine: Any) -> None:
        self.genuine, self.is_broken, self.failures = genuine, True, 0

    async def __call__(self, *arguments: Any) -> Any:
        if self.is_broken:
            self.failures += 1
            raise LookupError("nobody foresaw it")
        return await self.genuine(*arguments)


async def test_the_relay_outlives_a_fault(
    database_url: str,
    broker: EmbeddedBroker,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faulty = Faulty(Relay._publish)

    async def publish(*arguments: Any) -> Any:
        return await faulty(*arguments)

    monkeypatch.setattr(Relay, "_publish", publish)
    await create_topic(broker.bootstrap, f"{topic_prefix}approval-command")
    settings = {"kafka_bootstrap": broker.bootstrap, "topic_prefix": topic_prefix}
    with capture_logs() as lines:
        async with serving(database_url, approval_key=key_file(tmp_path), **settings) as client:

            async def up() -> dict[str, float]:
                seen = Scrape((await client.http.get("/metrics")).text)
                return dict(seen.by("runfold_api_dependency_up", "dependency"))

            async def is_down() -> bool:
                return not (await up())["database of the outbox"]

            async def is_well() -> bool:
                return all((await up()).values())

            case = Case(client, Told(database_url))
            await case.waits()
            assert (await case.decide()).status_code == 202
            await until(is_down, 20, "the fault to be seen in the metrics")
            assert any(line["log_level"] == "error" and line["exc_info"] for line in lines)
            faulty.is_broken = False
            await all_published(database_url)
            await until(is_well, 20, "the end of it to be seen")


async def test_the_feed_outlives_a_fault(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = Faulty(changes.here)
    monkeypatch.setattr(changes, "here", faulty)
    async with listening(database_url) as served:
        followed = asyncio.create_task(follow(served))
        await until(lambda: faulty.failures, 20, "the feed to fail")
        faulty.is_broken = False
        await followed


async def follow(served: Served) -> None:
    async with following(served):
        pass
