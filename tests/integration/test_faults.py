"""A fault that nobody foresaw, in what runs beside requests: told loudly, and begun again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.decisions.relay import Relay
from api.stream import changes
from tests.api_rows import serving
from tests.deciding import Approver, Told, all_published, key_file, waiting
from tests.scraping import Scrape
from tests.stack.topics import create_topic
from tests.stack.waiting import until
from tests.streams import following, listening


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
    bootstrap: str,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faulty = Faulty(Relay._publish)

    async def publish(*arguments: Any) -> Any:
        return await faulty(*arguments)

    monkeypatch.setattr(Relay, "_publish", publish)
    await create_topic(bootstrap, f"{topic_prefix}approval-command")
    await Told(database_url)(waiting())
    settings: dict[str, Any] = {"kafka_bootstrap": bootstrap, "topic_prefix": topic_prefix}
    with capture_logs() as lines:
        async with serving(database_url, approval_key=key_file(tmp_path), **settings) as client:

            async def up() -> dict[str, float]:
                seen = Scrape((await client.http.get("/metrics")).text)
                return dict(seen.by("runfold_api_dependency_up", "dependency"))

            async def is_down() -> bool:
                return not (await up())["database of the outbox"]

            async def is_well() -> bool:
                return all((await up()).values())

            assert (await Approver(client.http, client.settings).decide()).status_code == 202
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
        following_ = asyncio.create_task(_followed(served))
        await until(lambda: faulty.failures, 20, "the feed to fail")
        faulty.is_broken = False
        await following_


async def _followed(served: Any) -> None:
    async with following(served):
        pass
