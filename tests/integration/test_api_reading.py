"""What every read has in common: waiting for a record, entity tags, one generation, outages."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import httpx
import pytest

from projector.generations import schema
from projector.migrate import migrate
from tests.api_rows import Client, numbered, problem_of, project, serving
from tests.stack.servers import EmbeddedPostgres
from tests.stack.waiting import until
from tests.unit.event_samples import RUN, least

TOPIC = "awooop.run-state"


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    await project(database_url, numbered([("run-state", least("run-state"))]))
    async with serving(database_url) as client:
        yield client


async def test_a_record_that_is_there_is_not_waited_for(client: Client) -> None:
    told = await client.get("/v1/runs", wait_for=f"{TOPIC}:0:0", wait_timeout=0)
    assert told["total"] == 1


@pytest.mark.parametrize(
    "record", [f"{TOPIC}:0:1", f"{TOPIC}:1:0", "other:0:0", f"{TOPIC}:999999999:{10**18 - 1}"]
)
@pytest.mark.parametrize("path", ["/v1/runs", f"/v1/runs/{RUN}", "/v1/projects", "/v1/approvals"])
async def test_a_record_that_is_not_there_is_not_yet(
    client: Client, record: str, path: str
) -> None:
    started = time.monotonic()
    answer = await client.ask(path, wait_for=[f"{TOPIC}:0:0", record], wait_timeout=0.2)
    problem_of(answer, 503, "not_yet")
    assert int(answer.headers["retry-after"]) >= 1
    assert 0.2 <= time.monotonic() - started < 2


async def test_the_answer_comes_when_the_record_has(client: Client, database_url: str) -> None:
    waiting = asyncio.create_task(
        client.get("/v1/runs", wait_for=[f"{TOPIC}:0:0", f"{TOPIC}:1:0"], wait_timeout=10)
    )
    later = least("run-state", run_id="6fa459ea-ee8a-3ca4-894e-db77e160355e")
    await project(database_url, numbered([("run-state", later)], partition=1))
    assert (await waiting)["total"] == 2


async def test_who_waits_keeps_nobody_else_waiting(client: Client) -> None:
    waiting = [
        asyncio.create_task(client.ask("/v1/runs", wait_for="t:0:0", wait_timeout=6))
        for _ in range(50)
    ]
    for _ in range(10):
        await client.get("/v1/runs")
    assert not any(each.done() for each in waiting)
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {503}


async def test_an_answer_the_client_has_is_not_sent_again(
    client: Client, database_url: str
) -> None:
    first = await client.ask("/v1/runs")
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    await project(database_url, numbered([("project", None)]))
    for given in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await client.ask("/v1/runs", headers={"If-None-Match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["x-view-as-of"] > first.headers["x-view-as-of"]
    fresh = await client.ask("/v1/runs", headers={"If-None-Match": '"other"'})
    assert fresh.status_code == 200

    changed = least("run-state", state="failed") | {"entityversion": 1}
    await project(database_url, numbered([("run-state", changed)], partition=1))
    after = await client.ask("/v1/runs", headers={"If-None-Match": tag})
    assert (after.status_code, after.headers["etag"] != tag) == (200, True)


async def test_a_language_has_its_own_entity_tag(client: Client) -> None:
    path = f"/v1/runs/{RUN}/timeline"
    chinese = await client.ask(path)
    english = await client.ask(path, headers={"Accept-Language": "en"})
    assert chinese.headers["etag"] != english.headers["etag"]


async def test_before_the_first_batch_there_is_no_as_of(database_url: str) -> None:
    async with serving(database_url) as client:
        answer = await client.ask("/v1/runs")
    assert answer.json()["as_of"] is None
    assert "x-view-as-of" not in answer.headers


async def test_the_active_generation_is_read_and_no_other(
    client: Client, database_url: str
) -> None:
    owner = await asyncpg.connect(database_url)
    for statement in schema.creation("next", complete=True):
        await owner.execute(statement)
    totals: set[int] = set()
    swaps = 0
    for name in ["next", "main"] * 10:
        await owner.execute("UPDATE runfold.active_generation SET name = $1", name)
        told = await client.get("/v1/runs")
        assert told["total"] == len(told["runs"]) == (1 if name == "main" else 0)
        assert (told["as_of"] is None) == (name == "next")
        totals.add(told["total"])
        swaps += 1
    assert (swaps, totals) == (20, {0, 1})
    await owner.execute("UPDATE runfold.generation SET read_model = 999 WHERE name = 'main'")
    await client.fails("/v1/runs", 503, "other_read_model")
    await owner.close()


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(durable=False) as server:
        yield server


async def test_an_absent_database_is_said_and_come_back_to(own_server: EmbeddedPostgres) -> None:
    async with serving(own_server.url) as client:
        await client.fails("/v1/runs", 503, "not_migrated")
        await asyncio.to_thread(migrate, own_server.url)
        assert (await client.get("/v1/runs"))["total"] == 0
        for kill in (False, True):
            await asyncio.to_thread(own_server.kill if kill else own_server.stop)
            answer = await client.ask("/v1/runs")
            problem_of(answer, 503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            problem_of(await client.http.get("/readyz"), 503, "database_unavailable")
            assert (await client.http.get("/healthz")).status_code == 200
            await asyncio.to_thread(own_server.start)

            async def answered() -> bool:
                return (await client.ask("/v1/runs")).status_code == 200

            await until(answered, 10, "an answer after the outage")


async def test_a_database_that_never_was(client: Client) -> None:
    url = f"postgresql://postgres@127.0.0.1:1/{uuid4().hex}"
    async with serving(url) as nowhere:
        started = time.monotonic()
        await nowhere.fails("/v1/runs", 503, "database_unavailable")
        assert time.monotonic() - started < 6
    async with serving(client.settings.database_url + "_not") as unknown:
        await unknown.fails("/v1/runs", 503, "database_unavailable")


async def test_an_answer_is_read_in_one_transaction_of_one_snapshot(
    client: Client, database_url: str
) -> None:
    """A list's rows, total and cursor agree while runs keep moving between states."""
    owner = await asyncpg.connect(database_url)

    async def move() -> None:
        for version in range(1, 30):
            event = least("run-state", state=("running", "failed")[version % 2])
            records = numbered([("run-state", event | {"entityversion": version})], 2 + version)
            await project(database_url, records)

    moving = asyncio.create_task(move())
    seen: set[int] = set()
    while not moving.done():
        told = await client.get("/v1/runs", state="failed")
        assert told["total"] == len(told["runs"])
        seen.add(told["total"])
    await moving
    assert seen == {0, 1}
    await owner.close()


async def test_answers_are_for_the_asker_alone(client: Client) -> None:
    answer: httpx.Response = await client.ask("/v1/runs")
    assert answer.headers["cache-control"] == "private, no-cache"
