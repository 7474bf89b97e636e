"""Dead letters retried and discarded over HTTP, by a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

import api.dead_letters
from projector.dependencies import Dependencies
from projector.operations.requests import carry_out
from projector.worker import writer_pool
from tests.api_rows import Client, bearer, problem_of, project, serving
from tests.records import PREFIX, record
from tests.unit.event_samples import RUN, as_bytes, least


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    """Views with one parked record, number 1."""
    await project(database_url, [record("run-state", 0, b"{")])
    async with serving(database_url) as client:
        yield client


@asynccontextmanager
async def a_worker(database_url: str) -> AsyncIterator[None]:
    """One that carries out what is asked."""
    async with writer_pool(database_url, 2) as pool:
        stopping = asyncio.Event()
        working = asyncio.create_task(carry_out(Dependencies(pool, stopping), PREFIX))
        try:
            yield
        finally:
            stopping.set()
            await working


async def ask(client: Client, what: str, *, role: str = "operator") -> httpx.Response:
    said = bearer(client.settings, roles=[role])
    return await client.http.post(f"/v1/ops/dead-letters/{what}", headers=said)


async def mend(database_url: str, value: bytes) -> None:
    """Stand in for a decoding that has learned to read the parked bytes."""
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE g_main.dead_letter SET value = $1", value)
    await owner.close()


async def shown(client: Client) -> tuple[str, str, str | None]:
    letter = await client.get("/v1/ops/dead-letters/1", roles=["operator"])
    return letter["status"], letter["reason"], letter["changed_by"]


async def test_a_retry_applies_what_can_be_read_today(client: Client, database_url: str) -> None:
    await mend(database_url, as_bytes(least("run-state", state="waiting_approval")))
    async with a_worker(database_url):
        answer = await ask(client, "1/retry")
    assert (answer.status_code, answer.json()) == (200, {"id": 1, "status": "retried"})
    assert await shown(client) == ("retried", "malformed", "tester")
    run = await client.get(f"/v1/runs/{RUN}")
    assert run["run"]["state"] == "waiting_approval"
    owner = await asyncpg.connect(database_url)
    assert await owner.fetchval("SELECT run_id::text FROM runfold.run_change") == RUN
    await owner.close()


async def test_a_retry_of_what_is_still_bad_says_why_today(
    client: Client, database_url: str
) -> None:
    await mend(database_url, as_bytes(least("run-state", state=None)))
    async with a_worker(database_url):
        problem = problem_of(await ask(client, "1/retry"), 422, "still_bad")
    assert "payload: data.state" in problem["detail"]
    assert await shown(client) == ("parked", "payload", None)


async def test_what_is_done_is_done_once(client: Client, database_url: str) -> None:
    async with a_worker(database_url):
        answers = await asyncio.gather(*(ask(client, "1/discard") for _ in range(5)))
        assert sorted(each.status_code for each in answers) == [200, 409, 409, 409, 409]
        assert await shown(client) == ("discarded", "malformed", "tester")
        for what in ("1/retry", "1/discard"):
            problem = problem_of(await ask(client, what), 409, "not_parked")
            assert "discarded already" in problem["detail"]


async def test_without_a_worker_the_request_stands(
    client: Client, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(api.dead_letters, "WAIT_S", 0.1)
        answer = await ask(client, "1/discard")
    assert (answer.status_code, answer.json()) == (202, {"id": 1, "status": "parked"})
    async with a_worker(database_url):
        # asked again after the first, so carried out after it
        problem_of(await ask(client, "1/discard"), 409, "not_parked")
    assert (await shown(client))[0] == "discarded"


@pytest.mark.parametrize(
    ("what", "role", "status", "code"),
    [
        ("2/retry", "operator", 404, "dead_letter_not_found"),
        ("2/discard", "operator", 404, "dead_letter_not_found"),
        ("1/retry", "approver", 403, "forbidden"),
        ("1/discard", "viewer", 403, "forbidden"),
        ("1/retry?by=me", "operator", 422, "invalid_parameter"),
        ("one/retry", "operator", 422, "invalid_parameter"),
        ("99999999999999999999/retry", "operator", 422, "invalid_parameter"),
    ],
)
async def test_what_cannot_be_asked(
    client: Client, what: str, role: str, status: int, code: str
) -> None:
    problem_of(await ask(client, what, role=role), status, code)
    assert await shown(client) == ("parked", "malformed", None)


async def test_only_operators_can_ask_the_database(client: Client, database_url: str) -> None:
    for role in ("runfold_commander", "runfold_reader"):
        connection = await asyncpg.connect(database_url, server_settings={"role": role})
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                """
                INSERT INTO runfold.dead_letter_request (letter_id, action, asked_by)
                VALUES (1, 'discard', 'nobody')
                """
            )
        await connection.close()
