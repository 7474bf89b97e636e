"""What keeps decisions apart: keys of requests, a constraint, locks, and who may see what."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from api.decisions.deciding import KEPT_HOURS
from contracts.locks import ACTIVATION, Kind, lock
from contracts.read_model import ALL_PROJECTS_SETTING, COMMANDER_ROLE, PROJECTS_SETTING, READER_ROLE
from tests.api_rows import Client, problem_of, serving
from tests.applying import fetch
from tests.deciding import APPROVE, DECIDED, DECISIONS_THAT_WAIT, REJECT, Case, Told
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def other(signing: Client, told: Told) -> Case:
    other = Case(signing, told)
    await other.waits(project_id="p1")
    return other


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


async def test_the_same_request_is_answered_as_at_first(case: Case, key: dict[str, str]) -> None:
    first = await case.decide({"decision": "approve", "reason": "é"}, headers=key)
    assert first.status_code == 202
    await case.waits(state="running")
    # the same run and body make it the same request, however these are written
    same = {"decision": "approve", "reason": "é"}
    written = b' {"reason": "\\u00e9", "run_version": null, "decision": "approve"}'
    hows: list[dict[str, Any]] = [{"project_id": "p0"}, {"headers": key | {"If-Match": '"6"'}}]
    for body, how in ((same, {}), (written, {}), *((same, how) for how in hows)):
        again = await case.decide(body, **({"headers": key} | how))
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
    assert len(await case.events()) == 1
    problem_of(await case.decide(), 409, "not_waiting")
    problem_of(await case.approver("bob").decide(headers=key), 409, "not_waiting")


async def test_a_refusal_is_the_first_answer_too(case: Case, key: dict[str, str]) -> None:
    first = await case.decide(APPROVE | {"run_version": 6}, headers=key)
    problem_of(first, 412, "other_version")
    await case.waits()
    again = await case.decide(APPROVE | {"run_version": 6}, headers=key)
    assert again.content == first.content
    assert again.headers["content-type"] == "application/problem+json"
    assert (await case.decide(headers={"Idempotency-Key": uuid4().hex})).status_code == 202


async def test_another_request_needs_another_key(
    case: Case, other: Case, key: dict[str, str]
) -> None:
    await case.decide(headers=key)
    others = [REJECT, {**APPROVE, "reason": "fine"}, {**APPROVE, "run_version": 7}]
    for body, run in (*((body, case.run) for body in others), (APPROVE, other.run)):
        answer = await case.decide(body, run=run, headers=key)
        problem = problem_of(answer, 422, "idempotency_key_reused")
        assert [error["parameter"] for error in problem["errors"]] == ["Idempotency-Key"]
    assert [len(await each.events()) for each in (case, other)] == [1, 0]


async def test_one_key_sent_often_at_once_is_one_decision(
    case: Case, other: Case, key: dict[str, str]
) -> None:
    runs = [case.run, other.run] * 10
    answers = await asyncio.gather(*(case.decide(run=run, headers=key) for run in runs))
    assert sorted(answer.status_code for answer in answers) == [202] * 10 + [422] * 10
    assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
    assert len([*await case.events(), *await other.events()]) == 1


async def test_answers_are_forgotten_in_time(
    case: Case, other: Case, key: dict[str, str], owner: asyncpg.Connection
) -> None:
    await case.decide(headers=key)
    earlier = "UPDATE runfold.idempotency SET created_at = created_at - make_interval(hours => $1)"
    await owner.execute(earlier, KEPT_HOURS)
    await other.decide(headers={"Idempotency-Key": "next"})
    keys = await owner.fetch("SELECT key FROM runfold.idempotency")
    assert [row["key"] for row in keys] == ["next"]


InTheWay: TypeAlias = Callable[[asyncpg.Connection, str], Awaitable[Any]]


async def decided_without_a_lock(owner: asyncpg.Connection, run: str) -> None:
    await owner.execute(DECIDED, run, "p0")


async def written_by_a_worker(owner: asyncpg.Connection, run: str) -> None:
    """The run's lock, and its new state, which nobody can see yet."""
    await lock(owner, Kind.RUN, [run])
    await owner.execute("UPDATE run SET state = 'running', version = 8 WHERE run_id = $1", run)


async def another_generation(owner: asyncpg.Connection, run: str) -> None:
    await owner.execute("SELECT pg_advisory_xact_lock($1)", ACTIVATION)


@pytest.mark.parametrize(
    ("in_the_way", "ends", "answer"),
    [
        (decided_without_a_lock, "COMMIT", (409, "already_decided")),
        (decided_without_a_lock, "ROLLBACK", None),
        (written_by_a_worker, "COMMIT", (409, "not_waiting")),
        (another_generation, "COMMIT", None),
    ],
)
async def test_a_decision_waits_for_what_is_in_its_way(
    case: Case,
    owner: asyncpg.Connection,
    in_the_way: InTheWay,
    ends: str,
    answer: tuple[int, str] | None,
) -> None:
    async def is_waiting() -> bool:
        return bool(await fetch(case.client.settings.database_url, DECISIONS_THAT_WAIT))

    await owner.execute("BEGIN")
    await in_the_way(owner, case.run)
    deciding = asyncio.create_task(case.decide())
    await until(is_waiting, 10, "the decision to wait")
    await owner.execute(ends)
    if answer is None:
        assert (await deciding).status_code == 202
    else:
        problem_of(await deciding, *answer)


async def test_nothing_of_a_decision_that_fails_is_kept(
    case: Case, key: dict[str, str], owner: asyncpg.Connection
) -> None:
    await owner.execute("ALTER TABLE runfold.idempotency RENAME TO elsewhere")
    problem_of(await case.decide(headers=key), 503, "not_migrated")
    await owner.execute("ALTER TABLE runfold.elsewhere RENAME TO idempotency")
    assert await case.events() == []


async def test_a_login_that_may_not_decide_is_told_so(
    case: Case, owner: asyncpg.Connection
) -> None:
    login = f"reader_{uuid4().hex}"
    await owner.execute(f"CREATE ROLE {login} LOGIN NOINHERIT IN ROLE {READER_ROLE}")
    try:
        url = case.client.settings.database_url.replace("postgres@", f"{login}@")
        async with serving(url) as reading:
            assert await reading.get(f"/v1/runs/{case.run}")
            answer = await Case(reading, case.told).decide(REJECT, run=case.run)
            problem = problem_of(answer, 503, "role_not_granted")
            assert COMMANDER_ROLE in problem["detail"]
    finally:
        await owner.execute(f"DROP ROLE {login}")


async def as_role(
    owner: asyncpg.Connection, role: str, settings: dict[str, str], statement: str, *args: Any
) -> list[asyncpg.Record]:
    """What a role gets for a statement, in a transaction with these settings."""
    async with owner.transaction():
        await owner.execute(f"SET LOCAL ROLE {role}")
        for name, value in settings.items():
            await owner.execute("SELECT set_config($1, $2, true)", name, value)
        return list(await owner.fetch(statement, *args))


@pytest_asyncio.fixture(loop_scope="module")
async def decided(case: Case, other: Case, owner: asyncpg.Connection) -> asyncpg.Connection:
    """The owner of a database with decisions on runs of two projects."""
    for each in (case, other):
        assert (await each.decide()).status_code == 202
    return owner


@pytest.mark.parametrize("role", [READER_ROLE, COMMANDER_ROLE])
async def test_a_decision_is_seen_with_its_project(decided: asyncpg.Connection, role: str) -> None:
    for settings, seen in (
        ({PROJECTS_SETTING: "{p1}"}, {"p1"}),
        ({PROJECTS_SETTING: "{}"}, set()),
        ({}, set()),
        ({PROJECTS_SETTING: '{"p0,p1"}'}, set()),
        ({ALL_PROJECTS_SETTING: "ON"}, set()),
        ({ALL_PROJECTS_SETTING: "on"}, {"p0", "p1"}),
    ):
        rows = await as_role(decided, role, settings, "SELECT project_id FROM runfold.command")
        assert {row["project_id"] for row in rows} == seen, settings


FORBIDDEN = {
    READER_ROLE: [
        "SELECT event FROM runfold.command",
        "SELECT * FROM runfold.command",
        "SELECT body FROM runfold.idempotency",
        "UPDATE runfold.command SET published_at = NULL",
        "DELETE FROM runfold.command",
        "INSERT INTO runfold.idempotency VALUES ('a', 'b', '', 202, '')",
        "INSERT INTO runfold.command (command_id) VALUES (gen_random_uuid())",
    ],
    COMMANDER_ROLE: [
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
}


async def test_who_reads_sees_no_token_and_who_decides_does_so_in_its_projects_and_no_more(
    decided: asyncpg.Connection,
) -> None:
    for role, statements in FORBIDDEN.items():
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_role(decided, role, {ALL_PROJECTS_SETTING: "on"}, statement)
    run, settings = uuid4(), {PROJECTS_SETTING: "{p1}"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await as_role(decided, COMMANDER_ROLE, settings, DECIDED, run, "p0")
    await as_role(decided, COMMANDER_ROLE, settings, DECIDED, run, "p1")


async def test_what_became_of_anothers_decision_is_not_told(
    signing: Client, decided: asyncpg.Connection
) -> None:
    ids = await decided.fetch("SELECT command_id, project_id FROM runfold.command")
    assert {row["project_id"] for row in ids} == {"p0", "p1"}
    for row in ids:
        path = f"/v1/approvals/commands/{row['command_id']}"
        assert (await signing.ask(path, projects=[row["project_id"]])).status_code == 200
        (other,) = {"p0", "p1"} - {row["project_id"]}
        hidden = await signing.ask(path, projects=[other])
        absent = await signing.ask(f"/v1/approvals/commands/{UUID(int=1)}", projects=[other])
        assert (hidden.status_code, hidden.content) == (404, absent.content)
    queue = await signing.ask("/v1/approvals", projects=["p1"], include_decided="true")
    assert {each["project_id"] for each in queue.json()["items"]} == {"p1"}
    assert "eyJ" not in queue.text
