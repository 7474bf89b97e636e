"""What keeps decisions apart: keys of requests, constraints, locks, and who may see what."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import pytest

from api.decisions.idempotency import KEPT_HOURS
from contracts.locks import ACTIVATION, Kind, lock
from contracts.read_model import (
    ALL_PROJECTS_SETTING,
    COMMANDER_ROLE,
    PROJECTS_SETTING,
    READER_ROLE,
)
from tests.api_rows import Client, problem_of, serving
from tests.deciding import APPROVE, REJECT, Approver, Told, events, key_file, waiting
from tests.stack.waiting import until
from tests.unit.event_samples import OTHER, RUN

KEY = {"Idempotency-Key": "3f1c-17"}

DECIDED = """
    INSERT INTO runfold.command (
        command_id, run_id, project_id, run_version, decision, approver_id, new_state, decided_at,
        event
    )
    VALUES ($1, $2, $3, 7, 'reject', 'carol', 'cancelled', '2026-05-18T06:01:48Z', '{}')
"""


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(database_url, approval_key=key_file(tmp_path)) as client:
        yield client


@pytest.fixture
async def told(database_url: str) -> Told:
    told = Told(database_url)
    await told(waiting(), waiting(run_id=OTHER, project_id="p1"))
    return told


@pytest.fixture
def alice(client: Client, told: Told) -> Approver:
    return Approver(client.http, client.settings)


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


IsWaiting: TypeAlias = Callable[[], Awaitable[bool]]


@pytest.fixture
async def is_waiting(database_url: str) -> AsyncIterator[IsWaiting]:
    """Whether the API waits for a lock that somebody else has."""
    watcher = await asyncpg.connect(database_url)

    async def found() -> bool:
        return bool(
            await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'runfold-api-commands' AND wait_event_type = 'Lock'"
            )
        )

    yield found
    await watcher.close()


async def test_the_same_request_is_answered_as_at_first(
    client: Client, alice: Approver, told: Told, database_url: str
) -> None:
    first = await alice.decide(headers=KEY)
    assert first.status_code == 202
    await told(waiting(8, state="running"))
    again = await alice.decide(headers=KEY)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(await events(database_url)) == 1
    problem_of(await alice.decide(), 409, "not_waiting")
    bob = Approver(client.http, client.settings, "bob")
    problem_of(await bob.decide(headers=KEY), 409, "not_waiting")


async def test_a_refusal_is_the_first_answer_too(alice: Approver, told: Told) -> None:
    first = await alice.decide(APPROVE | {"run_version": 6}, headers=KEY)
    problem_of(first, 412, "other_version")
    await told(waiting(8))
    again = await alice.decide(APPROVE | {"run_version": 6}, headers=KEY)
    assert again.content == first.content
    assert again.headers["content-type"] == "application/problem+json"
    assert (await alice.decide(headers={"Idempotency-Key": "another"})).status_code == 202


@pytest.mark.parametrize(
    ("body", "how"),
    [
        (REJECT, {}),
        (APPROVE | {"reason": "fine"}, {}),
        (APPROVE | {"run_version": 7}, {}),
        (APPROVE, {"run": OTHER}),
    ],
)
async def test_another_request_needs_another_key(
    alice: Approver, database_url: str, body: dict[str, Any], how: dict[str, Any]
) -> None:
    await alice.decide(headers=KEY)
    answer = await alice.decide(body, **({"headers": KEY} | how))
    problem = problem_of(answer, 422, "idempotency_key_reused")
    assert [error["parameter"] for error in problem["errors"]] == ["Idempotency-Key"]
    assert len(await events(database_url)) == 1


async def test_the_run_and_the_body_make_it_the_same_request(alice: Approver) -> None:
    first = await alice.decide(headers=KEY)
    for how in ({"project_id": "p0"}, {"headers": KEY | {"If-Match": '"6"'}}):
        again = await alice.decide(**({"headers": KEY} | how))
        assert again.content == first.content


async def test_the_same_body_may_be_written_in_another_way(alice: Approver) -> None:
    first = await alice.decide({"decision": "approve", "reason": "é"}, headers=KEY)
    other = b' {"reason": "\\u00e9", "run_version": null, "decision": "approve"}'
    assert (await alice.decide(other, headers=KEY)).content == first.content


async def test_one_request_sent_often_at_once_is_done_once(
    alice: Approver, database_url: str
) -> None:
    answers = await asyncio.gather(*(alice.decide(headers=KEY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len(await events(database_url)) == 1


async def test_one_key_for_two_runs_at_once(alice: Approver, database_url: str) -> None:
    runs = [RUN, OTHER] * 5
    answers = await asyncio.gather(*(alice.decide(run=run, headers=KEY) for run in runs))
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [422] * 5
    assert len(await events(database_url)) == 1


async def test_answers_are_forgotten_in_time(alice: Approver, owner: asyncpg.Connection) -> None:
    await alice.decide(headers=KEY)
    await owner.execute(
        "UPDATE runfold.idempotency SET created_at = created_at - make_interval(hours => $1)",
        KEPT_HOURS,
    )
    await alice.decide(run=OTHER, headers={"Idempotency-Key": "next"})
    keys = await owner.fetch("SELECT key FROM runfold.idempotency")
    assert [row["key"] for row in keys] == ["next"]


async def test_a_constraint_decides_who_wins_and_no_lock(
    alice: Approver, owner: asyncpg.Connection, is_waiting: IsWaiting
) -> None:
    """Somebody who takes no lock decides at the same time."""
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(DECIDED, OTHER, RUN, "p0")
    deciding = asyncio.create_task(alice.decide(headers=KEY))
    await until(is_waiting, 10, "the second decision to wait")
    await transaction.commit()
    problem = problem_of(await deciding, 409, "already_decided")
    assert problem["detail"] == "carol rejected it at 2026-05-18T06:01:48Z"


async def test_a_decision_in_the_way_that_is_undone_is_none(
    alice: Approver, owner: asyncpg.Connection, is_waiting: IsWaiting
) -> None:
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(DECIDED, OTHER, RUN, "p0")
    deciding = asyncio.create_task(alice.decide())
    await until(is_waiting, 10, "the second decision to wait")
    await transaction.rollback()
    assert (await deciding).status_code == 202


async def test_a_run_that_is_being_written_is_not_decided_on_unseen(
    alice: Approver, owner: asyncpg.Connection, is_waiting: IsWaiting
) -> None:
    """A worker has the run's lock and its new state, which nobody can see yet."""
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SET LOCAL search_path = g_main")
    await lock(owner, Kind.RUN, [RUN])
    await owner.execute("UPDATE run SET state = 'running', version = 8 WHERE run_id = $1", RUN)
    deciding = asyncio.create_task(alice.decide())
    await until(is_waiting, 10, "the decision to wait")
    await transaction.commit()
    problem_of(await deciding, 409, "not_waiting")


async def test_a_change_of_generations_is_not_decided_across(
    alice: Approver, owner: asyncpg.Connection, is_waiting: IsWaiting
) -> None:
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT pg_advisory_xact_lock($1)", ACTIVATION)
    deciding = asyncio.create_task(alice.decide())
    await until(is_waiting, 10, "the decision to wait")
    await transaction.commit()
    assert (await deciding).status_code == 202


async def test_nothing_of_a_decision_that_fails_is_kept(
    alice: Approver, owner: asyncpg.Connection, database_url: str
) -> None:
    await owner.execute("DROP TABLE runfold.idempotency")
    problem_of(await alice.decide(headers=KEY), 503, "not_migrated")
    assert await events(database_url) == []


async def test_a_login_that_may_not_decide_is_told_so(
    client: Client, told: Told, owner: asyncpg.Connection, database_url: str
) -> None:
    login = f"reader_{uuid4().hex}"
    await owner.execute(f"CREATE ROLE {login} LOGIN NOINHERIT IN ROLE {READER_ROLE}")
    try:
        async with serving(database_url.replace("postgres@", f"{login}@")) as reading:
            assert (await reading.get("/v1/runs"))["total"] == 2
            alice = Approver(reading.http, reading.settings)
            problem = problem_of(await alice.decide(REJECT), 503, "role_not_granted")
            assert COMMANDER_ROLE in problem["detail"]
    finally:
        await owner.execute(f"DROP ROLE {login}")


HOSTILE = [
    "'; DROP TABLE runfold.command; --",
    "$1",
    "\\",
    "%s%n{0}",
    "\u202e",
    "\U0001f4a9" * 8192,
    "ﷺ" * 8192,
    "\x7f\x1b[31m",
    "\ufeff\ufffe",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
async def test_texts_are_texts(alice: Approver, database_url: str, text: str) -> None:
    answer = await alice.decide({"decision": "reject", "reason": text})
    assert answer.status_code == 202, answer.text
    [event] = await events(database_url)
    assert event.data.reason == text


@pytest.mark.parametrize("text", [*HOSTILE[:6], "p" * 9000], ids=ascii)
async def test_texts_elsewhere_are_texts_too(
    client: Client, told: Told, text: str, database_url: str
) -> None:
    alice = Approver(client.http, client.settings, text[:200])
    queried = await alice.decide(project_id=text[:100])
    problem_of(queried, 404, "run_not_found")
    for name in ("Idempotency-Key", "If-Match", "traceparent"):
        said: dict[str, Any] = {name: text.encode()}
        answer = await alice.decide(headers=said)
        assert answer.status_code in {202, 409, 412, 422}, answer.text


async def as_role(
    owner: asyncpg.Connection, role: str, settings: dict[str, str], statement: str, *args: Any
) -> list[asyncpg.Record]:
    """What a role gets for a statement, in a transaction with these settings."""
    async with owner.transaction():
        await owner.execute(f"SET LOCAL ROLE {role}")
        for name, value in settings.items():
            await owner.execute("SELECT set_config($1, $2, true)", name, value)
        return list(await owner.fetch(statement, *args))


@pytest.fixture
async def two_decisions(alice: Approver, owner: asyncpg.Connection) -> asyncpg.Connection:
    for run in (RUN, OTHER):
        assert (await alice.decide(run=run)).status_code == 202
    return owner


@pytest.mark.parametrize("role", [READER_ROLE, COMMANDER_ROLE])
async def test_a_decision_is_seen_with_its_project(
    two_decisions: asyncpg.Connection, role: str
) -> None:
    statement = "SELECT project_id FROM runfold.command"
    for settings, seen in (
        ({PROJECTS_SETTING: "{p1}"}, {"p1"}),
        ({PROJECTS_SETTING: "{}"}, set()),
        ({}, set()),
        ({PROJECTS_SETTING: '{"p0,p1"}'}, set()),
        ({ALL_PROJECTS_SETTING: "ON"}, set()),
        ({ALL_PROJECTS_SETTING: "on"}, {"p0", "p1"}),
    ):
        rows = await as_role(two_decisions, role, settings, statement)
        assert {row["project_id"] for row in rows} == seen, settings


EVERYTHING = {ALL_PROJECTS_SETTING: "on"}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT event FROM runfold.command",
        "SELECT * FROM runfold.command",
        "SELECT body FROM runfold.idempotency",
        "UPDATE runfold.command SET published_at = NULL",
        "DELETE FROM runfold.command",
        "INSERT INTO runfold.idempotency VALUES ('a', 'b', '', 202, '')",
        "INSERT INTO runfold.command (command_id) VALUES (gen_random_uuid())",
    ],
)
async def test_the_reader_sees_no_token_and_decides_nothing(
    two_decisions: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_role(two_decisions, READER_ROLE, EVERYTHING, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runfold.command SET decision = 'approve'",
        "UPDATE runfold.command SET event = ''",
        "DELETE FROM runfold.command",
        "TRUNCATE runfold.command",
        "UPDATE g_main.run SET state = 'running'",
        "INSERT INTO g_main.run SELECT * FROM g_main.run",
        "DELETE FROM g_main.item",
        "UPDATE runfold.active_generation SET name = name",
        "CREATE TABLE runfold.other ()",
    ],
)
async def test_who_decides_changes_no_decision_and_no_view(
    two_decisions: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_role(two_decisions, COMMANDER_ROLE, EVERYTHING, statement)


async def test_who_decides_does_so_for_the_projects_of_the_transaction(
    told: Told, owner: asyncpg.Connection
) -> None:
    settings = {PROJECTS_SETTING: "{p1}"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await as_role(owner, COMMANDER_ROLE, settings, DECIDED, RUN, RUN, "p0")
    await as_role(owner, COMMANDER_ROLE, settings, DECIDED, OTHER, OTHER, "p1")


async def test_what_became_of_anothers_decision_is_not_told(
    client: Client, two_decisions: asyncpg.Connection
) -> None:
    ids = await two_decisions.fetch("SELECT command_id, project_id FROM runfold.command")
    for row in ids:
        path = f"/v1/approvals/commands/{row['command_id']}"
        told = await client.ask(path, projects=[row["project_id"]])
        assert told.status_code == 200
        (other,) = {"p0", "p1"} - {row["project_id"]}
        hidden = await client.ask(path, projects=[other])
        absent = await client.ask(f"/v1/approvals/commands/{RUN}", projects=[other])
        assert (hidden.status_code, hidden.content) == (404, absent.content)
    queue = await client.get("/v1/approvals", projects=["p1"], include_decided="true")
    assert [waiting_["project_id"] for waiting_ in queue["items"]] == ["p1"]
    assert "eyJ" not in json.dumps(queue, default=str)
