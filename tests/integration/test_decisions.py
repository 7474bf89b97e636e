"""Every case of a decision: who may make one, on what, and what is answered."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from api import database
from api.database import MAX_COMMAND_CONNECTIONS
from contracts.locks import Kind, lock
from tests.api_rows import problem_of, serving
from tests.applying import fetch
from tests.deciding import ACTION, APPROVE, DECISIONS_THAT_WAIT, REJECT, Case
from tests.scraping import Scrape
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAST = "2026-05-18T06:02:00Z"
UNKNOWN = "d653e980-071c-4bc9-a792-0c6d8d86970e"
LONE = b'{"decision": "approve", "reason": "\\ud800"}'
WRONG_BODIES: list[tuple[Any, str]] = [
    ({"decision": "postpone"}, "decision"),
    ({"reason": "none"}, "decision"),
    ({"decision": "reject"}, "reason"),
    *(({**REJECT, "reason": reason}, "reason") for reason in (None, " \n")),
    *(({**APPROVE, "reason": reason}, "reason") for reason in (5, "x" * 8193, "\0")),
    *(({**APPROVE, "run_version": it}, "run_version") for it in ("7", -1, 2**63, 10**4000, True)),
    ({**APPROVE, "run_versoin": 7}, "run_versoin"),
    *((it, "body") for it in ([APPROVE], "approve", b"", b"{", b"\xff\xfe", LONE, b"[" * 60_000)),
]
WRONG_HEADERS = [*(("Idempotency-Key", it) for it in ("", "k" * 201, b"\xe9"))]
WRONG_HEADERS += [("If-Match", it) for it in ("", " ")]
WRONG_PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"project": "p0"}, "project"),
    *(({"project_id": it}, "project_id") for it in ("", "\0")),
    *(({"headers": {name: it}}, name) for name, it in WRONG_HEADERS),
    *(({"run": it}, "run_id") for it in ("1", f"{UNKNOWN[:-1]}g", "' OR 1=1 --")),
]


async def test_what_is_wrong_is_named(case: Case) -> None:
    requests: list[tuple[Any, dict[str, Any], str]] = [
        *((body, {}, named) for body, named in WRONG_BODIES),
        *((None, how, named) for how, named in WRONG_PARAMETERS),
    ]
    for body, how, named in requests:
        problem = problem_of(await case.decide(body, **how), 422, "invalid_parameter")
        assert [error["parameter"] for error in problem["errors"]] == [named], (body, how)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    problem_of(await case.decide(headers=form), 415, "unsupported_media_type")
    problem_of(await case.decide(b" " * 65_537), 413, "content_too_large")
    assert await case.events() == []
    escaped = b'{"decision": "approve", "reason": "' + b"\\u4e00" * 8192 + b'"}'
    assert (await case.decide(escaped)).status_code == 202


async def test_who_may_decide(case: Case) -> None:
    answer = await case.client.http.post(f"/v1/runs/{case.run}/decision", json=APPROVE)
    problem_of(answer, 401, "missing_token")
    for roles in ([], ["viewer"]):
        problem_of(await case.approver(roles=roles).decide(), 403, "forbidden")
    for roles in (["approver"], ["operator"], ["viewer", "approver"]):
        assert (await case.approver(roles=roles).decide()).status_code == 202
        await case.waits()
    problem_of(await case.approver("s" * 201).decide(), 403, "unusable_subject")
    assert (await case.approver("é" * 200).decide()).status_code == 202


async def test_an_unknown_run_and_another_projects_are_the_same(case: Case) -> None:
    stranger = case.approver(projects=["p1"])
    answers = [
        await case.decide(run=str(uuid4())),
        await case.decide(project_id="p1"),
        await stranger.decide(),
        await stranger.decide(REJECT, project_id="p0", headers={"Idempotency-Key": "k"}),
    ]
    for answer in answers:
        problem_of(answer, 404, "run_not_found")
    assert len({answer.content for answer in answers}) == 1
    assert (await case.decide(project_id="p0")).status_code == 202


async def test_a_version_is_decided_on_once_and_the_next_anew(case: Case) -> None:
    made = (await case.decide()).json()
    [event] = await case.events()
    for body in (REJECT, APPROVE, APPROVE | {"run_version": 3}):
        answer = await case.approver("bob").decide(body)
        assert problem_of(answer, 409, "already_decided")["decision"] == {
            "command_id": made["command_id"],
            "decision": "approve",
            "approver_id": "alice",
            "decided_at": json.loads(event.to_bytes())["time"],
        }
    assert len(await case.events()) == 1
    await case.waits()
    again = await case.decide()
    assert (again.status_code, again.json()["command_id"] != made["command_id"]) == (202, True)


WRONG_MATCHES: Any = ('"{before}"', '"{now}7"', 'W/"{now}"', '"*"', '""{now}""', '"a", ""', b"\xff")
VERSIONS: list[tuple[int | None, str | bytes | None, bool]] = [
    *((more, None, False) for more in (-1, 1)),
    *((None, match, False) for match in WRONG_MATCHES),
    *((0, '"{before}"', False), (-1, '"{now}"', False), (0, '"{now}"', True)),
    *((None, '"{before}", "{now}"', True), (None, "*", True)),
]


async def test_the_version_that_was_looked_at(case: Case) -> None:
    """A body's version is said as what it is more or less than the present one."""
    for more, match, right in VERSIONS:
        now = case.version
        said = {} if more is None else {"run_version": now + more}
        named = match.format(before=now - 1, now=now) if isinstance(match, str) else match
        headers: Any = {} if named is None else {"If-Match": named}
        answer = await case.decide(APPROVE | said, headers=headers)
        if right:
            assert answer.status_code == 202, (said, match, answer.text)
            await case.waits()
        else:
            assert f"version {now}" in problem_of(answer, 412, "other_version")["detail"]


async def test_a_run_that_changes_its_project_is_decided_on_once(case: Case) -> None:
    await case.waits(project_id="p1")
    assert (await case.approver("ann", projects=["p1"]).decide()).status_code == 202
    case.version -= 1
    moved = {"id": "moved", "time": "2999-01-01T00:00:00Z"}
    await case.waits(project_id="p2", attributes=moved)
    answer = await case.approver("bob", projects=["p2"]).decide()
    refused = problem_of(answer, 409, "already_decided")
    assert "decision" not in refused
    assert "ann" not in refused["detail"]
    answer = await case.approver("eve", projects=["p1", "p2"]).decide()
    assert problem_of(answer, 409, "already_decided")["decision"]["approver_id"] == "ann"
    assert len(await case.events()) == 1


async def test_the_cases_are_tried_in_order(case: Case) -> None:
    """One run that each case in turn applies to, and all that come after it."""
    mallory = case.approver("mallory", roles=["operator"])
    everything = APPROVE | {"run_version": 1}
    for state in ("completed", "pending", "waiting_tool", "running"):
        await case.waits(state=state, timeout_at=PAST)
        assert state in problem_of(await mallory.decide(everything), 409, "not_waiting")["detail"]
    await case.waits()
    assert (await case.decide()).status_code == 202
    problem_of(await mallory.decide(everything), 409, "already_decided")
    await case.waits(timeout_at=PAST)
    problem_of(await mallory.decide(everything), 412, "other_version")
    assert PAST in problem_of(await mallory.decide(), 410, "timed_out")["detail"]
    await case.waits()
    for body in (APPROVE, REJECT):
        problem_of(await mallory.decide(body), 403, "self_approval")
    assert (await case.decide()).status_code == 202
    await case.waits(timeout_at=None)
    assert (await case.decide()).status_code == 202


async def test_what_cannot_be_signed_can_only_be_rejected(case: Case, shared_url: str) -> None:
    await case.waits(pending_action=ACTION | {"tool_name": "t" * 8192})
    problem_of(await case.decide(), 409, "not_signable")
    assert (await case.decide(REJECT)).status_code == 202
    await case.waits()
    async with serving(shared_url) as client:
        alice = Case(client, case.told).approver()
        problem_of(await alice.decide(run=case.run), 503, "no_approval_key")
        assert (await alice.decide(REJECT, run=case.run)).status_code == 202


async def test_decisions_that_wait_for_one_run_are_no_outage_for_another(
    case: Case, shared_url: str, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ACQUIRE_TIMEOUT_S", 0.5)
    other = Case(case.client, case.told)
    await other.waits()
    held = owner.transaction()
    await held.start()
    await lock(owner, Kind.RUN, [case.run])
    metrics = Scrape((await case.client.http.get("/metrics")).text)
    before = metrics.total("runfold_api_dependency_failures_total", dependency="database")
    people = range(MAX_COMMAND_CONNECTIONS)
    waiting_for_it = [asyncio.create_task(case.decide(REJECT)) for _ in people]

    async def all_wait() -> bool:
        return len(await fetch(shared_url, DECISIONS_THAT_WAIT)) == MAX_COMMAND_CONNECTIONS

    await until(all_wait, 10, "all connections to wait")
    answer = await other.decide(REJECT)
    problem_of(answer, 503, "database_busy")
    assert answer.headers["Retry-After"]
    metrics = Scrape((await case.client.http.get("/metrics")).text)
    assert metrics.total("runfold_api_dependency_failures_total", dependency="database") == before
    await held.rollback()
    answers = await asyncio.gather(*waiting_for_it)
    assert sorted(each.status_code for each in answers) == [202, 409, 409, 409, 409]


HOSTILE = ["'; DROP TABLE runfold.command; --", "$1", "\\", "%s%n{0}", "\u202e"]
HOSTILE += ["\U0001f4a9" * 8192, "ﷺ" * 8192, "\x7f\x1b[31m", "\ufeff\ufffe"]


async def test_texts_are_texts(case: Case) -> None:
    for text in HOSTILE:
        answer = await case.decide({"decision": "reject", "reason": text})
        assert answer.status_code == 202, answer.text
        assert (await case.events())[-1].data.reason == text
        await case.waits()
    for text in HOSTILE[:6]:
        problem_of(await case.approver(text[:200]).decide(project_id="p1"), 404, "run_not_found")
        for name in ("Idempotency-Key", "If-Match", "traceparent"):
            said: dict[str, Any] = {name: text.encode()}
            assert (await case.decide(headers=said)).status_code in {202, 409, 412, 422}, text
