"""Every case of a decision, and what one that is made consists of."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import pytest
from msgspec.structs import asdict

from api import database
from api.database import MAX_COMMAND_CONNECTIONS
from contracts.approvals import MemorySingleUse, errors, verify
from contracts.locks import Kind, lock
from tests.api_rows import Client, problem_of, serving
from tests.approvals import ARGUMENTS, KEYS
from tests.deciding import ACTION, APPROVE, REJECT, Approver, Told, events, key_file, waiting
from tests.scraping import Scrape
from tests.stack.waiting import until
from tests.unit.event_samples import OTHER, RUN

UNKNOWN = "55555555-0000-4000-8000-000000000000"
PAST = "2026-05-18T06:02:00Z"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


WAITING_FOR_A_LOCK = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(database_url, approval_key=key_file(tmp_path)) as client:
        yield client


@pytest.fixture
async def told(database_url: str) -> Told:
    """The views, which know of a run that waits at version 7."""
    told = Told(database_url)
    await told(waiting())
    return told


@pytest.fixture
def alice(client: Client, told: Told) -> Approver:
    return Approver(client.http, client.settings)


def as_somebody(client: Client, subject: str = "bob", **how: Any) -> Approver:
    return Approver(client.http, client.settings, subject, **how)


async def test_an_approval(alice: Approver, database_url: str) -> None:
    answer = await alice.decide(APPROVE | {"reason": "it is 好", "run_version": 7}, run=RUN.upper())
    assert answer.status_code == 202, answer.text
    body = answer.json()
    [event] = await events(database_url)
    assert body == {
        "run_id": RUN,
        "decision": "approve",
        "new_state": "running",
        "approval_token_jti": event.data.approval_token_jti,
        "command_id": event.id,
        "status": "pending",
    }
    data = asdict(event.data)
    for name in ("approval_token", "approval_token_jti", "decided_at"):
        del data[name]
    assert data == {
        "command_id": event.id,
        "run_id": RUN,
        "project_id": "p0",
        "decision": "approve",
        "approver_id": "alice",
        "reason": "it is 好",
        "run_version": 7,
        "tool_name": "kubectl.delete",
        "arguments_sha256": ARGUMENTS,
        "new_state": "running",
    }
    assert (event.source, event.subject, event.time) == ("runfold", event.id, event.data.decided_at)
    assert event.traceparent is None
    assert UUID(event.id) != UUID(event.data.approval_token_jti)


async def test_the_token_of_an_approval_allows_that_call_alone(
    alice: Approver, database_url: str
) -> None:
    await alice.decide()
    [event] = await events(database_url)
    used = MemorySingleUse()
    call: dict[str, Any] = {
        "keys": await alice.get("/.well-known/jwks.json"),
        "issuer": "runfold",
        "audience": "engine",
        "project_id": "p0",
        "run_id": RUN,
        "run_version": 7,
        "tool_name": ACTION["tool_name"],
        "arguments_sha256": ARGUMENTS,
        "seen": used,
    }
    token = event.data.approval_token
    for other, refused in (
        ({"run_id": OTHER}, errors.WrongRun),
        ({"run_version": 8}, errors.WrongVersion),
        ({"project_id": "p1"}, errors.WrongProject),
        ({"tool_name": "kubectl.get"}, errors.WrongTool),
        ({"arguments_sha256": "00"}, errors.WrongArguments),
        ({"audience": "other"}, errors.WrongAudience),
        ({"now": event.time + timedelta(seconds=3611)}, errors.Expired),
    ):
        with pytest.raises(refused):
            verify(token, **(call | other))
    approval = verify(token, **call)
    assert (approval.sub, approval.jti) == ("alice", event.data.approval_token_jti)
    assert approval.iat == event.time.replace(microsecond=0)
    with pytest.raises(errors.AlreadyUsed):
        verify(token, **call)


async def test_a_rejection_has_no_token(alice: Approver, database_url: str) -> None:
    answer = await alice.decide(REJECT)
    assert (answer.status_code, answer.json()["new_state"]) == (202, "cancelled")
    assert answer.json()["approval_token_jti"] is None
    [event] = await events(database_url)
    assert (event.data.approval_token, event.data.approval_token_jti) == (None, None)
    assert (event.data.reason, event.data.new_state) == ("too risky", "cancelled")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"decision": "postpone"}, "decision"),
        ({"reason": "none"}, "decision"),
        ({"decision": "reject"}, "reason"),
        ({"decision": "reject", "reason": None}, "reason"),
        ({"decision": "reject", "reason": " \n"}, "reason"),
        ({"decision": "approve", "reason": 5}, "reason"),
        ({"decision": "approve", "reason": "x" * 8193}, "reason"),
        ({"decision": "approve", "reason": "\0"}, "reason"),
        ({"decision": "approve", "run_version": "7"}, "run_version"),
        ({"decision": "approve", "run_version": -1}, "run_version"),
        ({"decision": "approve", "run_version": 2**63}, "run_version"),
        ({"decision": "approve", "run_version": 10**4000}, "run_version"),
        ({"decision": "approve", "run_version": True}, "run_version"),
        ({"decision": "approve", "run_versoin": 7}, "run_versoin"),
        ([APPROVE], "body"),
        ("approve", "body"),
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b'{"decision": "approve", "reason": "\\ud800"}', "body"),
        (b"[" * 60_000, "body"),
    ],
    ids=repr,
)
async def test_a_body_that_is_wrong(
    alice: Approver, database_url: str, body: Any, named: str
) -> None:
    problem = problem_of(await alice.decide(body), 422, "invalid_parameter")
    assert [error["parameter"] for error in problem["errors"]] == [named]
    assert await events(database_url) == []


@pytest.mark.parametrize(
    ("query", "headers", "named"),
    [
        ({"project": "p0"}, {}, "project"),
        ({"project_id": ""}, {}, "project_id"),
        ({"project_id": "\0"}, {}, "project_id"),
        ({}, {"Idempotency-Key": ""}, "Idempotency-Key"),
        ({}, {"Idempotency-Key": "k" * 201}, "Idempotency-Key"),
        ({}, {"Idempotency-Key": b"\xe9"}, "Idempotency-Key"),
    ],
)
async def test_a_parameter_that_is_wrong(
    alice: Approver, query: dict[str, str], headers: Any, named: str
) -> None:
    answer = await alice.decide(headers=headers, **query)
    problem = problem_of(answer, 422, "invalid_parameter")
    assert [error["parameter"] for error in problem["errors"]] == [named]


@pytest.mark.parametrize("run", ["1", "d653e980-071c-4bc9-a792-0c6d8d86970g", "' OR 1=1 --"])
async def test_what_is_no_uuid(alice: Approver, run: str) -> None:
    problem_of(await alice.decide(run=run), 422, "invalid_parameter")


async def test_a_body_of_another_kind_or_size(alice: Approver) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    problem_of(await alice.decide(headers=form), 415, "unsupported_media_type")
    problem_of(await alice.decide(b" " * 65_537), 413, "content_too_large")
    escaped = b'{"decision": "approve", "reason": "' + b"\\u4e00" * 8192 + b'"}'
    assert (await alice.decide(escaped)).status_code == 202


@pytest.mark.parametrize(
    ("roles", "status", "code"),
    [([], 403, "forbidden"), (["viewer"], 403, "forbidden")],
)
async def test_who_may_not_decide(
    client: Client, told: Told, roles: list[str], status: int, code: str
) -> None:
    problem_of(await as_somebody(client, roles=roles).decide(), status, code)


@pytest.mark.parametrize("roles", [["approver"], ["operator"], ["viewer", "approver"]])
async def test_who_may(client: Client, told: Told, roles: list[str]) -> None:
    assert (await as_somebody(client, roles=roles).decide()).status_code == 202


async def test_nobody_decides_without_a_token(client: Client, told: Told) -> None:
    answer = await client.http.post(f"/v1/runs/{RUN}/decision", json=APPROVE)
    problem_of(answer, 401, "missing_token")


async def test_an_unknown_run_and_another_projects_are_the_same(
    client: Client, alice: Approver
) -> None:
    stranger = as_somebody(client, projects=["p1"])
    answers = [
        await alice.decide(run=UNKNOWN),
        await alice.decide(project_id="p1"),
        await stranger.decide(),
        await stranger.decide(REJECT, project_id="p0", headers={"Idempotency-Key": "k"}),
    ]
    for answer in answers:
        problem_of(answer, 404, "run_not_found")
    assert len({answer.content for answer in answers}) == 1
    assert (await alice.decide(project_id="p0")).status_code == 202


@pytest.mark.parametrize("state", ["running", "completed", "pending", "waiting_tool"])
async def test_a_run_that_does_not_wait(alice: Approver, told: Told, state: str) -> None:
    await told(waiting(8, state=state))
    problem = problem_of(await alice.decide(), 409, "not_waiting")
    assert state in problem["detail"]


async def test_a_run_that_is_decided(client: Client, alice: Approver, database_url: str) -> None:
    made = (await alice.decide()).json()
    [event] = await events(database_url)
    for body in (REJECT, APPROVE, APPROVE | {"run_version": 3}):
        problem = problem_of(await as_somebody(client).decide(body), 409, "already_decided")
        assert "alice approved it at 20" in problem["detail"]
        assert problem["decision"] == {
            "command_id": made["command_id"],
            "decision": "approve",
            "approver_id": "alice",
            "decided_at": json.loads(event.to_bytes())["time"],
        }
    assert len(await events(database_url)) == 1


async def test_a_decision_that_only_the_topic_knows_of(
    alice: Approver, told: Told, database_url: str
) -> None:
    """The views were made anew in another database: its outbox is empty."""
    await alice.decide(REJECT)
    [event] = await events(database_url)
    await told(json.loads(event.to_bytes()), suffix="approval-command")
    owner = await asyncpg.connect(database_url)
    await owner.execute("TRUNCATE runfold.command")
    await owner.close()
    problem = problem_of(await alice.decide(), 409, "already_decided")
    assert problem["decision"]["command_id"] == event.id
    assert "alice rejected it" in problem["detail"]


async def test_the_next_version_is_decided_anew(alice: Approver, told: Told) -> None:
    first = (await alice.decide()).json()
    await told(waiting(8))
    second = await alice.decide()
    assert second.status_code == 202
    assert second.json()["command_id"] != first["command_id"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"run_version": 6}, {}, 412),
        ({"run_version": 8}, {}, 412),
        ({}, {"If-Match": '"6"'}, 412),
        ({}, {"If-Match": '"77"'}, 412),
        ({}, {"If-Match": 'W/"7"'}, 412),
        ({}, {"If-Match": '"*"'}, 412),
        ({}, {"If-Match": '""7""'}, 412),
        ({}, {"If-Match": '"a", ""'}, 412),
        ({}, {"If-Match": b"\xff"}, 412),
        ({"run_version": 7}, {"If-Match": '"6"'}, 412),
        ({"run_version": 6}, {"If-Match": '"7"'}, 412),
        ({"run_version": 7}, {"If-Match": '"7"'}, 202),
        ({}, {"If-Match": '"6", "7"'}, 202),
        ({}, {"If-Match": "*"}, 202),
    ],
)
async def test_the_version_that_was_looked_at(
    alice: Approver, body: dict[str, Any], headers: Any, status: int
) -> None:
    answer = await alice.decide(APPROVE | body, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 412:
        assert "version 7" in problem_of(answer, 412, "other_version")["detail"]


async def test_a_run_that_changes_its_project_is_decided_on_once(
    client: Client, told: Told, database_url: str
) -> None:
    http, said = client.http, client.settings
    first, other, both = (
        Approver(http, said, name, projects)
        for name, projects in (("ann", ["p1"]), ("bob", ["p2"]), ("eve", ["p1", "p2"]))
    )
    await told(waiting(8, project_id="p1"))
    assert (await first.decide()).status_code == 202
    await told(waiting(8, project_id="p2") | {"id": "moved", "time": "2999-01-01T00:00:00Z"})
    refused = problem_of(await other.decide(), 409, "already_decided")
    assert "decision" not in refused
    assert "ann" not in refused["detail"]
    shown = problem_of(await both.decide(), 409, "already_decided")
    assert shown["decision"]["approver_id"] == "ann"
    assert len(await events(database_url)) == 1


@pytest.mark.parametrize("given", ["", " "])
async def test_an_if_match_that_names_no_version_decides_nothing(
    alice: Approver, given: str
) -> None:
    wrong = problem_of(await alice.decide(headers={"If-Match": given}), 422, "invalid_parameter")
    assert [each["parameter"] for each in wrong["errors"]] == ["If-Match"]
    assert (await alice.decide()).status_code == 202


async def test_a_run_whose_time_is_over(alice: Approver, told: Told) -> None:
    await told(waiting(8, timeout_at=PAST))
    assert PAST in problem_of(await alice.decide(), 410, "timed_out")["detail"]
    await told(waiting(9, timeout_at=None))
    assert (await alice.decide()).status_code == 202


@pytest.mark.parametrize("body", [APPROVE, REJECT])
async def test_who_asked_may_not_decide(client: Client, told: Told, body: dict[str, str]) -> None:
    mallory = as_somebody(client, "mallory", roles=["operator"])
    problem_of(await mallory.decide(body), 403, "self_approval")
    assert (await as_somebody(client).decide(body)).status_code == 202


async def test_the_cases_are_tried_in_order(client: Client, told: Told) -> None:
    """One run that each case in turn applies to, and all that come after it."""
    mallory = as_somebody(client, "mallory")
    everything = APPROVE | {"run_version": 1}
    await told(waiting(8, state="running", timeout_at=PAST))
    problem_of(await mallory.decide(everything), 409, "not_waiting")
    await told(waiting(9))
    assert (await as_somebody(client).decide()).status_code == 202
    problem_of(await mallory.decide(everything), 409, "already_decided")
    await told(waiting(10, timeout_at=PAST))
    problem_of(await mallory.decide(everything), 412, "other_version")
    problem_of(await mallory.decide(), 410, "timed_out")
    await told(waiting(11))
    problem_of(await mallory.decide(), 403, "self_approval")


async def test_a_run_that_names_no_action(alice: Approver, told: Told, database_url: str) -> None:
    await told(waiting(8, pending_action=None))
    assert (await alice.decide()).status_code == 202
    [event] = await events(database_url)
    approval = verify(
        event.data.approval_token,
        keys=KEYS.jwks(),
        issuer="runfold",
        audience="engine",
        project_id="p0",
        run_id=RUN,
        run_version=8,
        tool_name=None,
        arguments_sha256=None,
        seen=MemorySingleUse(),
    )
    assert approval.tool_name is None


async def test_names_that_fit_into_no_token(alice: Approver, told: Told) -> None:
    await told(waiting(8, pending_action=ACTION | {"tool_name": "t" * 8192}))
    problem_of(await alice.decide(), 409, "not_signable")
    assert (await alice.decide(REJECT)).status_code == 202


async def test_a_subject_that_fits_into_no_event(client: Client, told: Told) -> None:
    problem_of(await as_somebody(client, "s" * 201).decide(), 403, "unusable_subject")
    assert (await as_somebody(client, "é" * 200).decide()).status_code == 202


async def test_without_a_key_one_can_only_reject(database_url: str, told: Told) -> None:
    async with serving(database_url) as client:
        alice = as_somebody(client, "alice")
        problem_of(await alice.decide(), 503, "no_approval_key")
        assert (await alice.decide(REJECT)).status_code == 202


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", True),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", False),
        ("'; DROP TABLE run; --", False),
    ],
)
async def test_the_trace_goes_on_in_the_event(
    alice: Approver, database_url: str, given: str, kept: bool
) -> None:
    assert (await alice.decide(headers={"traceparent": given})).status_code == 202
    [event] = await events(database_url)
    assert event.traceparent == (given if kept else None)


@pytest.mark.parametrize(
    ("of_run", "headers", "expected"),
    [
        (TRACE, {}, TRACE),
        (TRACE, {"traceparent": OTHER_TRACE}, OTHER_TRACE),
        (TRACE, {"traceparent": "00-xyz"}, TRACE),
        ("00-xyz", {}, None),
    ],
)
async def test_the_trace_of_the_run_goes_on_where_the_request_has_none(
    client: Client, database_url: str, of_run: str, headers: dict[str, str], expected: str | None
) -> None:
    await Told(database_url)(waiting() | {"traceparent": of_run})
    alice = Approver(client.http, client.settings)
    assert (await alice.decide(headers=headers)).status_code == 202
    [event] = await events(database_url)
    assert event.traceparent == expected


async def test_decisions_that_wait_for_one_run_are_no_outage_for_another(
    client: Client, alice: Approver, told: Told, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ACQUIRE_TIMEOUT_S", 0.5)
    await told(waiting(run_id=OTHER))
    owner = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    held = owner.transaction()
    await held.start()
    await lock(owner, Kind.RUN, [RUN])
    before = await failures(client)
    waiting_for_it = [
        asyncio.create_task(alice.decide(REJECT)) for _ in range(MAX_COMMAND_CONNECTIONS)
    ]

    async def all_wait() -> bool:
        return bool(await owner.fetchval(WAITING_FOR_A_LOCK) == MAX_COMMAND_CONNECTIONS)

    await until(all_wait, 10, "all connections to wait")
    answer = await alice.decide(REJECT, run=OTHER)
    problem_of(answer, 503, "database_busy")
    assert answer.headers["Retry-After"]
    assert await failures(client) == before
    await held.rollback()
    await owner.close()
    answers = await asyncio.gather(*waiting_for_it)
    assert sorted(each.status_code for each in answers) == [202, 409, 409, 409, 409]


async def failures(client: Client) -> float:
    """Attempts to reach the database that have failed."""
    told = Scrape((await client.http.get("/metrics")).text)
    return told.total("runfold_api_dependency_failures_total", dependency="database")


async def test_the_token_says_what_the_settings_say(
    database_url: str, tmp_path: Path, told: Told
) -> None:
    others = {"approval_issuer": "desk", "approval_audience": "robot", "approval_seconds": 77}
    async with serving(database_url, approval_key=key_file(tmp_path), **others) as client:
        await told(waiting())
        await as_somebody(client).decide()
    [event] = await events(database_url)
    claims = jwt.decode(event.data.approval_token or "", options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == ("desk", "robot")
    assert claims["exp"] - claims["iat"] == 77
