"""Only a genuine token, in its time and for the first time, lets the call be made."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_decode
from pydantic import ValidationError

from contracts.decoding import Undecodable, decode
from contracts.events import ApprovalDecided
from contracts.signing_keys import TokenTooLong
from contracts.tokens import (
    LEEWAY_S,
    Approval,
    ApprovalRefused,
    MemorySingleUse,
    Reason,
    verify_async,
)
from tests.approvals import (
    CLAIMS,
    EXPECTED,
    KEYS,
    NOW,
    OTHER_KEY,
    PUBLISHED,
    TOKEN,
    approval,
    forged,
    refusal,
    stop_clock,
    verified,
)
from tests.unit.event_samples import as_bytes, least


def part(token: str, index: int) -> Any:
    return json.loads(base64url_decode(token.split(".")[index]))


def test_a_token_has_the_claims_of_the_contract_and_names_its_key() -> None:
    assert verified(TOKEN) == approval()
    assert part(TOKEN, 0) == {"alg": "EdDSA", "kid": KEYS.kid, "typ": "approval+jwt"}
    assert part(TOKEN, 1) == CLAIMS


def test_any_jwt_library_can_verify_it() -> None:
    key = jwt.PyJWKSet.from_dict(KEYS.jwks())[KEYS.kid]
    claims = jwt.decode(TOKEN, key, algorithms=["EdDSA"], audience="engine", issuer="runfold")
    assert claims == CLAIMS


# All in seconds from now; the same in every process that collects the tests.
@pytest.mark.parametrize(
    ("claims", "after", "reason"),
    [
        ({}, 86_400 + LEEWAY_S - 0.001, None),
        ({}, 86_400 + LEEWAY_S, Reason.EXPIRED),
        ({}, 1e9, Reason.EXPIRED),
        ({}, -LEEWAY_S, None),
        ({}, -LEEWAY_S - 0.001, Reason.NOT_YET_VALID),
        ({"nbf": 60}, 60 - LEEWAY_S, None),
        ({"nbf": 60}, 60 - LEEWAY_S - 0.001, Reason.NOT_YET_VALID),
        # Of two times to be good from, the later counts.
        ({"nbf": 0, "iat": 60}, 0, Reason.NOT_YET_VALID),
    ],
)
def test_a_token_is_good_in_its_time_and_a_leeway(
    monkeypatch: pytest.MonkeyPatch, claims: dict[str, int], after: float, reason: Reason | None
) -> None:
    said = approval(**{claim: NOW + seconds for claim, seconds in claims.items()})
    stop_clock(monkeypatch, NOW + after)
    if reason is None:
        assert verified(KEYS.sign(said)) == said
    else:
        refusal(KEYS.sign(said), reason)


def test_a_token_is_used_once() -> None:
    seen = MemorySingleUse()
    verified(TOKEN, seen=seen)
    refusal(TOKEN, Reason.ALREADY_USED, seen=seen)
    assert verified(KEYS.sign(approval(jti="another")), seen=seen).jti == "another"


def test_a_refused_token_is_not_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = MemorySingleUse()
    for name in ("issuer", "audience", "project_id", "run_id", "tool_name", "arguments_sha256"):
        refusal(TOKEN, None, seen=seen, **{name: "x"})
    refusal(TOKEN, Reason.WRONG_VERSION, seen=seen, run_version=0)
    refusal(KEYS.sign(approval(decision="reject")), Reason.REJECTED, seen=seen)
    refusal(forged(CLAIMS, OTHER_KEY), Reason.BAD_SIGNATURE, seen=seen)
    for days in (-1, 2):
        with monkeypatch.context() as other_day:
            stop_clock(other_day, NOW + 86_400 * days)
            refusal(TOKEN, seen=seen)
    assert verified(TOKEN, seen=seen) == approval()


def test_of_many_threads_one_may_make_the_call() -> None:
    seen, together = MemorySingleUse(), threading.Barrier(16)

    def attempt(_: int) -> Reason | None:
        together.wait()
        try:
            verified(TOKEN, seen=seen)
        except ApprovalRefused as error:
            return error.reason
        return None

    with ThreadPoolExecutor(16) as pool:
        reasons = list(pool.map(attempt, range(16)))
    assert reasons.count(None) == 1
    assert reasons.count(Reason.ALREADY_USED) == 15


class Recorded:
    """A store that gives one answer, whatever that is, also to asyncio."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, datetime]] = []

    def use(self, jti: str, remember_until: datetime) -> Any:
        self.asked.append((jti, remember_until))
        return self.answer


class Awaited:
    """A store for asyncio."""

    def __init__(self, store: Any) -> None:
        self.store = store

    async def use(self, jti: str, remember_until: datetime) -> Any:
        await asyncio.sleep(0)
        return self.store.use(jti, remember_until)


async def used(token: str, seen: Any) -> Approval:
    return await verify_async(token, EXPECTED, keys=PUBLISHED, seen=seen)


def test_a_token_is_remembered_for_as_long_as_it_is_good() -> None:
    seen = Recorded(True)
    verified(TOKEN, seen=seen)
    assert seen.asked == [(CLAIMS["jti"], datetime.fromtimestamp(CLAIMS["exp"] + LEEWAY_S, UTC))]


# object() stands for the coroutine of a store that was to be awaited
@pytest.mark.parametrize("answer", [False, None, 1, "yes", object()])
async def test_a_store_that_does_not_answer_true_lets_nothing_through(answer: Any) -> None:
    refusal(TOKEN, Reason.ALREADY_USED, seen=Recorded(answer))
    recorded = Recorded(answer)
    with pytest.raises(ApprovalRefused) as raised:
        await used(TOKEN, Awaited(recorded))
    assert raised.value.reason is Reason.ALREADY_USED
    assert len(recorded.asked) == 1


def test_what_a_store_or_a_source_of_keys_raises_is_not_held_back() -> None:
    class Away:
        def use(self, jti: str, remember_until: datetime) -> bool:
            raise ConnectionError("the database is away")

        def find(self, kid: str | None) -> None:
            raise jwt.PyJWKClientConnectionError("the keys are away")

    with pytest.raises(ConnectionError, match="database"):
        verified(TOKEN, seen=Away())
    with pytest.raises(jwt.PyJWKClientConnectionError):
        verified(TOKEN, keys=Away())


async def test_under_asyncio_one_of_many_may_make_the_call() -> None:
    seen = Awaited(MemorySingleUse())
    with pytest.raises(ApprovalRefused) as raised:
        await used(KEYS.sign(approval(run_version=8)), seen)
    assert raised.value.reason is Reason.WRONG_VERSION
    answers = await asyncio.gather(*(used(TOKEN, seen) for _ in range(16)), return_exceptions=True)
    assert [each for each in answers if isinstance(each, Approval)] == [approval()]
    refused = [each.reason for each in answers if isinstance(each, ApprovalRefused)]
    assert refused == [Reason.ALREADY_USED] * 15


def test_a_token_that_its_event_could_not_carry_is_not_made() -> None:
    with pytest.raises(TokenTooLong, match="8192"):
        KEYS.sign(approval(tool_name="刪" * 8192))


def test_the_longest_token_fits_into_its_event_and_passes() -> None:
    fits = approval(tool_name="t" * 5662)
    token = KEYS.sign(fits)
    assert len(token) == 8192
    assert verified(token, tool_name=fits.tool_name) == fits
    event = decode("approval-command", as_bytes(least("approval-command", approval_token=token)))
    assert not isinstance(event, Undecodable)
    assert isinstance(event.data, ApprovalDecided)
    assert event.data.approval_token == token


@pytest.mark.parametrize(
    "change", [{"iat": 1.5}, {"run_version": True}, {"run_id": "7"}, {"sub": ""}], ids=str
)
def test_an_approval_that_would_be_refused_is_not_made(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        approval(**change)
