"""What every read has in common: it waits for a record, has a tag, is of one generation."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import product

import pytest

from projector.generations import schema
from tests.api_rows import Client, numbered, problem_of, project, serving
from tests.applying import fetch, workers
from tests.records import record
from tests.unit.event_samples import OTHER, RUN, least

TOPIC = "awooop.run-state"
HERE = f"{TOPIC}:0:0"


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    await project(database_url, numbered([("run-state", least("run-state"))]))
    async with serving(database_url) as client:
        yield client


async def test_a_record_that_is_not_there_is_not_yet(client: Client) -> None:
    assert (await client.get("/v1/runs", wait_for=HERE, wait_timeout=0))["total"] == 1
    paths = ("/v1/runs", f"/v1/runs/{RUN}", "/v1/projects", "/v1/approvals")
    far = f"{TOPIC}:999999999:{10**18 - 1}"
    records = (f"{TOPIC}:0:1", f"{TOPIC}:1:0", "other:0:0", far)
    started = time.monotonic()
    asked = [
        client.ask(path, wait_for=[HERE, later], wait_timeout=0.2)
        for path, later in product(paths, records)
    ]
    for answer in await asyncio.gather(*asked):
        problem_of(answer, 503, "not_yet")
        assert int(answer.headers["retry-after"]) >= 1
    assert 0.2 <= time.monotonic() - started < 4


async def test_who_waits_keeps_nobody_waiting_and_is_answered_when_the_record_is_there(
    client: Client, database_url: str
) -> None:
    asked = {"wait_for": [HERE, f"{TOPIC}:1:0"], "wait_timeout": 10}
    waiting = [asyncio.create_task(client.get("/v1/runs", **asked)) for _ in range(50)]
    for _ in range(10):
        await client.get("/v1/runs")
    assert not any(each.done() for each in waiting)
    later = least("run-state", run_id=OTHER)
    await project(database_url, numbered([("run-state", later)], partition=1))
    assert {told["total"] for told in await asyncio.gather(*waiting)} == {2}


async def test_an_answer_the_client_has_is_not_sent_again(
    client: Client, database_url: str
) -> None:
    first = await client.ask("/v1/runs")
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    await project(database_url, numbered([("project", None)]))
    for given in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await client.ask("/v1/runs", headers={"If-None-Match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["x-view-as-of"] > first.headers["x-view-as-of"]
    changed = least("run-state", state="failed") | {"entityversion": 1}
    await project(database_url, numbered([("run-state", changed)], partition=1))
    after = await client.ask("/v1/runs", headers={"If-None-Match": tag})
    assert (after.status_code, after.headers["etag"] != tag) == (200, True)

    path, language = f"/v1/runs/{RUN}/timeline", "Accept-Language"
    told = [await client.ask(path, headers={language: each}) for each in ("zh", "en")]
    assert told[0].headers["etag"] != told[1].headers["etag"]


async def test_the_active_generation_is_read_and_no_other(
    client: Client, database_url: str
) -> None:
    for statement in schema.creation("next", complete=True):
        await fetch(database_url, statement)
    for name in ["next", "main"] * 10:
        await fetch(database_url, "UPDATE runfold.active_generation SET name = $1", name)
        answer = await client.ask("/v1/runs")
        told = answer.json()
        assert told["total"] == len(told["runs"]) == (1 if name == "main" else 0)
        # before the first batch there is no such time
        assert (told["as_of"] is None) == ("x-view-as-of" not in answer.headers) == (name == "next")
    await fetch(database_url, "UPDATE runfold.generation SET read_model = 999 WHERE name = 'main'")
    await client.fails("/v1/runs", 503, "other_read_model")


async def test_a_list_is_read_in_one_snapshot(client: Client, database_url: str) -> None:
    """Its rows, total and cursor agree while runs keep moving between states."""

    async def move() -> None:
        async with workers(database_url, 1) as (worker,):
            for version in range(1, 30):
                event = least("run-state", state=("running", "failed")[version % 2])
                moved = record("run-state", version - 1, event | {"entityversion": version}, 2)
                await worker.own([moved])
                await worker.poll([moved])

    moving = asyncio.create_task(move())
    seen: set[int] = set()
    while not moving.done():
        told = await client.get("/v1/runs", state="failed")
        assert told["total"] == len(told["runs"])
        seen.add(told["total"])
    await moving
    assert seen == {0, 1}
