"""What a decision that is made consists of, who sees it, and what becomes of it."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import pytest
from msgspec.structs import asdict

from contracts.tokens import MemorySingleUse, Reason
from tests.api_rows import problem_of, serving
from tests.approvals import ARGUMENTS, refusal, verified
from tests.deciding import ACTION, APPROVE, REJECT, Case, key_file

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER_TRACE = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
WRONG_TRACES = ["ff" + TRACE[2:], TRACE.upper(), TRACE[:-3], "'; DROP TABLE run; --"]
WRONG_TRACES += [f"{TRACE[:3]}{'0' * 32}{TRACE[35:]}", f"{TRACE[:36]}{'0' * 16}{TRACE[52:]}"]
ENGINE_AT = "2999-01-01T00:00:00.5Z"


async def test_an_approval_and_a_rejection(case: Case) -> None:
    said = APPROVE | {"reason": "it is 好", "run_version": 7}
    answer = await case.decide(said, run=case.run.upper())
    assert answer.status_code == 202, answer.text
    [event] = await case.events()
    made = {"command_id": event.id, "run_id": case.run}
    made |= {"decision": "approve", "new_state": "running"}
    jti = event.data.approval_token_jti
    assert answer.json() == {**made, "approval_token_jti": jti, "status": "pending"}
    signed = ("approval_token", "approval_token_jti", "decided_at")
    told = made | said | {"project_id": "p0", "approver_id": "alice"}
    told |= {"tool_name": "kubectl.delete", "arguments_sha256": ARGUMENTS}
    assert {name: it for name, it in asdict(event.data).items() if name not in signed} == told
    assert (event.source, event.subject, event.time) == ("runfold", event.id, event.data.decided_at)
    assert event.traceparent is None
    assert UUID(event.id) != UUID(event.data.approval_token_jti)

    # a rejection has no token
    await case.waits()
    answer = await case.decide(REJECT)
    assert (answer.status_code, answer.json()["new_state"]) == (202, "cancelled")
    assert answer.json()["approval_token_jti"] is None
    event = (await case.events())[-1]
    assert (event.data.approval_token, event.data.approval_token_jti) == (None, None)
    assert (event.data.reason, event.data.new_state) == ("too risky", "cancelled")


def call(case: Case, **other: Any) -> dict[str, Any]:
    """What the engine is about to do when it does what was asked."""
    asked = {"run_id": case.run, "run_version": case.version, "tool_name": ACTION["tool_name"]}
    return {"project_id": "p0"} | asked | other


async def test_the_token_of_an_approval_allows_that_call_alone(case: Case) -> None:
    await case.decide()
    [event] = await case.events()
    token, used = event.data.approval_token, MemorySingleUse()
    others: list[tuple[dict[str, Any], Reason]] = [
        ({"run_id": ENGINE_AT}, Reason.WRONG_RUN),
        ({"run_version": 8}, Reason.WRONG_VERSION),
        ({"project_id": "p1"}, Reason.WRONG_PROJECT),
        ({"tool_name": "kubectl.get"}, Reason.WRONG_TOOL),
        ({"arguments_sha256": "00"}, Reason.WRONG_ARGUMENTS),
        ({"audience": "other"}, Reason.WRONG_AUDIENCE),
    ]
    for other, reason in others:
        refusal(token, reason, seen=used, **call(case, **other))
    approval = verified(token, seen=used, **call(case))
    assert (approval.sub, approval.jti) == ("alice", event.data.approval_token_jti)
    assert (approval.iat, approval.exp - approval.iat) == (int(event.time.timestamp()), 3600)
    refusal(token, Reason.ALREADY_USED, seen=used, **call(case))

    await case.waits(pending_action=None)
    await case.decide()
    token = (await case.events())[-1].data.approval_token
    nameless = call(case, tool_name=None, arguments_sha256=None)
    assert verified(token, **nameless).tool_name is None


async def test_the_token_says_what_the_settings_say(
    case: Case, shared_url: str, tmp_path: Path
) -> None:
    others = {"approval_issuer": "desk", "approval_audience": "robot", "approval_seconds": 77}
    async with serving(shared_url, approval_key=key_file(tmp_path), **others) as client:
        await Case(client, case.told).approver().decide(run=case.run)
    [event] = await case.events()
    claims = jwt.decode(event.data.approval_token or "", options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == ("desk", "robot")
    assert claims["exp"] - claims["iat"] == 77


@pytest.mark.parametrize(
    ("of_run", "of_request", "expected"),
    [
        (None, TRACE, TRACE),
        (None, OTHER_TRACE, OTHER_TRACE),
        (TRACE, None, TRACE),
        (TRACE, OTHER_TRACE, OTHER_TRACE),
        (TRACE, "00-xyz", TRACE),
        ("00-xyz", None, None),
        *((None, wrong, None) for wrong in WRONG_TRACES),
    ],
)
async def test_the_trace_of_the_request_or_else_of_the_run_goes_on(
    case: Case, of_run: str | None, of_request: str | None, expected: str | None
) -> None:
    if of_run is not None:
        await case.waits({"traceparent": of_run})
    headers = {} if of_request is None else {"traceparent": of_request}
    assert (await case.decide(headers=headers)).status_code == 202
    [event] = await case.events()
    assert event.traceparent == expected


async def queue(case: Case, *, decided: bool = True) -> list[dict[str, Any]]:
    asked = {"run_id": case.run, "include_decided": str(decided).lower()}
    told = await case.client.get("/v1/approvals", **asked)
    assert told["total"] == len(told["items"])
    found: list[dict[str, Any]] = told["items"]
    return found


async def status(case: Case, command_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await case.client.get(f"/v1/approvals/commands/{command_id.upper()}")
    del found["as_of"]
    return found


async def test_the_queue_tells_of_a_decision_before_it_is_published(case: Case) -> None:
    [before] = await queue(case, decided=False)
    assert (before["run_version"], before["decision"]) == (7, None)
    made = (await case.decide()).json()
    [event] = await case.events()
    assert await queue(case, decided=False) == []
    known = {"command_id": made["command_id"], "decision": "approve", "status": "pending"}
    decided_at = json.loads(event.to_bytes())["time"]
    decision = known | {"approver_id": "alice", "decided_at": decided_at}
    assert await queue(case) == [before | {"decision": decision}]
    told = known | {"run_id": case.run, "published_at": None, "applied_at": None}
    assert await status(case, made["command_id"]) == told
    # No view claims that the run has moved, or shows what nobody has published.
    timeline = await case.client.get(f"/v1/runs/{case.run}/timeline", kind="approval")
    assert timeline["timeline"] == []
    run = (await case.client.get(f"/v1/runs/{case.run}"))["run"]
    assert run["state"] == "waiting_approval"
    await case.waits()
    [again] = await queue(case, decided=False)
    assert (again["run_version"], again["decision"]) == (8, None)


@pytest.mark.parametrize("forgotten", [False, True], ids=["unmarked", "forgotten"])
async def test_a_decision_that_was_read_back_has_been_published(
    case: Case, owner: asyncpg.Connection, *, forgotten: bool
) -> None:
    """A relay was killed before it marked what it had published, or the outbox is another one."""
    made = (await case.decide(REJECT)).json()
    [event] = await case.events()
    await case.told(json.loads(event.to_bytes()), suffix="approval-command")
    if forgotten:
        await owner.execute("DELETE FROM runfold.command WHERE run_id = $1", case.run)
    [line] = await queue(case)
    assert line["decision"]["status"] == "published"
    shown = await status(case, made["command_id"])
    assert (shown["status"], shown["applied_at"]) == ("published", None)
    assert shown["published_at"] is not None
    problem = problem_of(await case.decide(), 409, "already_decided")
    assert problem["decision"]["command_id"] == event.id
    await case.waits(state="cancelled", state_changed_at=ENGINE_AT)
    moved = await status(case, made["command_id"])
    assert (moved["status"], moved["applied_at"]) == ("applied", "2999-01-01T00:00:00.500000Z")
