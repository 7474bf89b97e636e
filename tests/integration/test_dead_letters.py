"""Dead letters: looked at, retried and discarded over HTTP, by a worker."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

import api.dead_letters
from projector.dependencies import Dependencies
from projector.operations import dead_letters
from projector.operations.dead_letters import StillBad, carry_out
from projector.worker import writer_pool
from tests.api_rows import Client, bearer, problem_of, project, serving
from tests.records import PREFIX, FakeRecord, record
from tests.stack.waiting import until
from tests.unit.event_samples import OTHER, as_bytes, least

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/ops/dead-letters"
RUNS = f"{PREFIX}run-state"
BAD: list[tuple[str, bytes | None, bytes]] = [
    ("run-state", b"key", b"{"),
    ("run-state", None, b"[]"),
    ("run-state", "鍵".encode(), b'{"specversion": "1.0"}'),
    ("step-journal", b"\xff\x00", b"\xff\xfe"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(shared_url: str) -> AsyncIterator[Client]:
    """An API over views with four parked records, 1 to 4."""
    records = [
        FakeRecord(PREFIX + suffix, 1, offset, key, value, [("a", b"\xff"), ("b", None)])
        for offset, (suffix, key, value) in enumerate(BAD)
    ]
    await project(shared_url, records)
    async with serving(shared_url) as client:
        yield client


async def listed(client: Client, **asked: Any) -> list[dict[str, Any]]:
    return await client.pages(PATH, "dead_letters", roles=["operator"], **asked)


async def test_they_are_listed_newest_first_by_filter_and_page(client: Client) -> None:
    letters = await listed(client)
    assert [letter["id"] for letter in letters] == [4, 3, 2, 1]
    assert [letter["offset"] for letter in letters] == [3, 2, 1, 0]
    assert [letter["key"] for letter in letters] == ["\ufffd\0", "鍵", None, "key"]
    assert [letter["reason"] for letter in letters] == ["malformed", "envelope", *["malformed"] * 2]
    assert {letter["status"] for letter in letters} == {"parked"}
    malformed = {"reason": "malformed"}
    filters: list[dict[str, Any]] = [{}, malformed, malformed | {"topic": RUNS}]
    filters += [{"status": status} for status in ("parked", "discarded")]
    filters += [{"topic": topic} for topic in (RUNS, "run-state")]
    cursor = (await client.get(PATH, roles=["operator"], limit=1))["next_cursor"]
    for query, limit in itertools.product(filters, (1, 2, 500)):
        expected = [each for each in letters if query.items() <= each.items()]
        assert await listed(client, **query, limit=limit) == expected, query
        if query:
            answer = await client.ask(PATH, roles=["operator"], cursor=cursor, **query)
            problem_of(answer, 422, "bad_cursor")


async def test_one_is_shown_with_its_bytes(client: Client) -> None:
    for letter, (_, key, value) in zip(await listed(client), reversed(BAD), strict=True):
        told = await client.get(f"{PATH}/{letter['id']}", roles=["operator"])
        assert told.items() >= letter.items()
        assert base64.b64decode(told["value_base64"]) == value
        assert told["key_base64"] == (None if key is None else base64.b64encode(key).decode())
        assert told["headers"] == [["a", "/w=="], ["b", None]]
        assert (told["changed_at"], told["changed_by"]) == (None, None)
    absent = f"{PATH}/999999999999999999"
    await client.fails(absent, 404, "dead_letter_not_found", roles=["operator"])


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


class Letter:
    """A dead letter, and what may become of it."""

    def __init__(self, client: Client, owner: asyncpg.Connection, number: int) -> None:
        self.number, self.path = number, f"{PATH}/{number}"
        self._client, self._owner = client, owner

    async def ask(self, what: str, *, role: str = "operator") -> httpx.Response:
        said = bearer(self._client.settings, roles=[role])
        return await self._client.http.post(f"{self.path}/{what}", headers=said)

    async def mend(self, event: dict[str, Any] | bytes) -> None:
        """Stand in for a decoding that has learned to read the parked bytes."""
        value = event if isinstance(event, bytes) else as_bytes(event)
        statement = "UPDATE runfold.dead_letter SET value = $2 WHERE id = $1"
        await self._owner.execute(statement, self.number, value)

    async def is_discarded(self) -> bool:
        return (await self.state())[0] == "discarded"

    async def state(self) -> tuple[str, str, str | None]:
        letter = await self._client.get(self.path, roles=["operator"])
        return letter["status"], letter["reason"], letter["changed_by"]


@pytest_asyncio.fixture(loop_scope="module")
async def letter(client: Client, shared_url: str, owner: asyncpg.Connection) -> Letter:
    """One more letter, of a topic of catalogues or of runs."""
    offset = await owner.fetchval("SELECT count(*) FROM runfold.dead_letter")
    await project(shared_url, [record("project", offset, b"{", partition=offset)])
    return Letter(client, owner, await owner.fetchval("SELECT max(id) FROM runfold.dead_letter"))


async def test_a_retry_applies_what_can_be_read_today(
    client: Client, shared_url: str, owner: asyncpg.Connection
) -> None:
    letter = Letter(client, owner, 1)
    await letter.mend(least("run-state", run_id=OTHER, state="waiting_approval"))
    async with a_worker(shared_url):
        answer = await letter.ask("retry")
    assert (answer.status_code, answer.json()) == (200, {"id": 1, "status": "retried"})
    assert await letter.state() == ("retried", "malformed", "tester")
    run = await client.get(f"/v1/runs/{OTHER}")
    assert run["run"]["state"] == "waiting_approval"
    assert await owner.fetchval("SELECT run_id::text FROM runfold.run_change") == OTHER


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[]", "malformed"),
        (as_bytes(least("project", display_name=None)), "payload"),
        (as_bytes(least("project", display_name="\0")), "rejected"),
    ],
)
async def test_a_retry_of_what_is_still_bad_says_why_today(
    letter: Letter, shared_url: str, value: bytes, reason: str
) -> None:
    await letter.mend(value)
    async with a_worker(shared_url):
        problem = problem_of(await letter.ask("retry"), 422, "still_bad")
    assert f"{reason}: " in problem["detail"]
    assert await letter.state() == ("parked", reason, None)


async def test_a_retry_that_comes_late_changes_nothing_newer(
    letter: Letter, shared_url: str, owner: asyncpg.Connection
) -> None:
    newer = least("project", display_name="newer")
    await project(shared_url, [record("project", 0, newer, partition=1_000)])
    await letter.mend(least("project", display_name="older") | {"time": "2020-01-01T00:00:00Z"})
    async with a_worker(shared_url):
        assert (await letter.ask("retry")).status_code == 200
    assert (await letter.state())[0] == "retried"
    names = await owner.fetch("SELECT detail->>'display_name' FROM project")
    assert [tuple(row) for row in names] == [("newer",)]


async def test_one_of_another_topic_stays_parked(letter: Letter, owner: asyncpg.Connection) -> None:
    await owner.execute("SET ROLE runfold_writer")
    with pytest.raises(StillBad, match="RUNFOLD_TOPIC_PREFIX"):
        await dead_letters.retry(owner, letter.number, "other.", by="ann")
    assert (await letter.state())[0] == "parked"


async def test_what_is_done_is_done_once(letter: Letter, shared_url: str) -> None:
    async with a_worker(shared_url):
        answers = await asyncio.gather(*(letter.ask("discard") for _ in range(5)))
        assert sorted(each.status_code for each in answers) == [200, 409, 409, 409, 409]
        assert await letter.state() == ("discarded", "malformed", "tester")
        for what in ("retry", "discard"):
            problem_of(await letter.ask(what), 409, "not_parked")


async def test_without_a_worker_the_request_stands(
    letter: Letter, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(api.dead_letters, "WAIT_S", 0.1)
        answer = await letter.ask("discard")
    assert (answer.status_code, answer.json()["status"]) == (202, "parked")
    problem_of(await letter.ask("retry"), 409, "not_parked")
    async with a_worker(shared_url):
        await until(letter.is_discarded, 30, "the request to be carried out")


async def test_what_cannot_be_asked(client: Client) -> None:
    absent, forbidden = (404, "dead_letter_not_found"), (403, "forbidden")
    refused = [(f"999/{what}", "operator", absent) for what in ("retry", "discard")]
    refused += [("2/retry", "approver", forbidden), ("2/discard", "viewer", forbidden)]
    for bad in ("2/retry?by=me", "one/retry", f"{10**20}/retry"):
        refused.append((bad, "operator", (422, "invalid_parameter")))
    for what, role, expected in refused:
        said = bearer(client.settings, roles=[role])
        problem_of(await client.http.post(f"{PATH}/{what}", headers=said), *expected)
    assert (await client.get(f"{PATH}/2", roles=["operator"]))["status"] == "parked"


ASK = "UPDATE runfold.dead_letter SET requested = 'discard', requested_by = 'nobody'"


async def test_only_operators_of_all_projects_can_ask_the_database(
    client: Client, owner: asyncpg.Connection
) -> None:
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE runfold_commander")
        assert await owner.execute(ASK) == "UPDATE 0"
        await owner.execute("SET LOCAL runfold.operator = 'on'")
        assert await owner.execute(ASK) == "UPDATE 0"
        await owner.execute("SET LOCAL runfold.all_projects = 'on'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("UPDATE runfold.dead_letter SET state = 'retried'")
