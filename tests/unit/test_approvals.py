"""Only a genuine token, for this very call, in its time and for the first time lets it be made."""

import asyncio
import inspect
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_decode
from pydantic import ValidationError

from contracts.approvals import (
    LEEWAY,
    Approval,
    MemorySingleUse,
    TokenTooLong,
    errors,
    verify,
    verify_async,
)
from contracts.decoding import Undecodable, decode
from contracts.errors import RunfoldError
from contracts.events import ApprovalDecided
from tests.approvals import (
    CLAIMS,
    EXPECTED,
    KEYS,
    NOW,
    OTHER_KEY,
    RUN_ID,
    TOKEN,
    AsyncMemory,
    approval,
    forged,
    refusal,
    verified,
)
from tests.unit.event_samples import as_bytes, least


def part(token: str, index: int) -> Any:
    return json.loads(base64url_decode(token.split(".")[index]))


def test_a_genuine_token_gives_the_approval_back() -> None:
    assert verified(TOKEN) == approval()


def test_a_token_has_the_claims_of_the_contract_and_names_its_key() -> None:
    assert part(TOKEN, 0) == {"alg": "EdDSA", "kid": KEYS.kid, "typ": "approval+jwt"}
    assert part(TOKEN, 1) == CLAIMS


def test_any_jwt_library_can_verify_it() -> None:
    key = jwt.PyJWKSet.from_dict(KEYS.jwks())[KEYS.kid]
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        TOKEN, key, algorithms=["EdDSA"], audience="engine", issuer="runfold", options=options
    )
    assert claims == CLAIMS


def test_the_present_time_is_taken_when_none_is_given() -> None:
    now = datetime.now(UTC)
    fresh = approval(iat=now, exp=now + timedelta(minutes=1))
    assert verified(KEYS.sign(fresh), now=None) == fresh
    assert type(refusal(TOKEN, now=None)) is errors.Expired


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"issuer": "runfold2"}, errors.WrongIssuer),
        ({"issuer": ""}, errors.WrongIssuer),
        ({"audience": "mailer"}, errors.WrongAudience),
        ({"audience": "engin"}, errors.WrongAudience),
        ({"project_id": "p2"}, errors.WrongProject),
        ({"project_id": "P1"}, errors.WrongProject),
        ({"run_id": "00000000-0000-4000-8000-000000000000"}, errors.WrongRun),
        ({"run_id": RUN_ID.replace("-", "")}, errors.WrongRun),
        ({"run_version": 6}, errors.WrongVersion),
        ({"run_version": 8}, errors.WrongVersion),
        ({"tool_name": "kubectl_get"}, errors.WrongTool),
        ({"tool_name": "kubectl_delete "}, errors.WrongTool),
        ({"tool_name": None}, errors.WrongTool),
        ({"arguments_sha256": "0" * 64}, errors.WrongArguments),
        ({"arguments_sha256": ""}, errors.WrongArguments),
        ({"arguments_sha256": None}, errors.WrongArguments),
    ],
)
def test_a_token_for_another_call_is_refused(
    change: dict[str, Any], error: type[errors.OtherCall]
) -> None:
    refused = refusal(TOKEN, **change)
    assert type(refused) is error
    assert error.claim in str(refused)


def test_a_run_named_in_other_case_is_the_same_run() -> None:
    assert verified(TOKEN, run_id=RUN_ID.upper()).run_id == RUN_ID
    assert verified(forged({**CLAIMS, "run_id": RUN_ID.upper()})).run_id == RUN_ID


def test_texts_that_only_look_alike_are_not_the_same() -> None:
    token = KEYS.sign(approval(tool_name="café"))
    assert verified(token, tool_name="café").tool_name == "café"
    for look_alike in ("cafe\u0301", "cafе\u0301", "café\u200b"):
        assert type(refusal(token, tool_name=look_alike)) is errors.WrongTool


def test_what_a_run_did_not_name_matches_only_what_it_did_not_name() -> None:
    token = KEYS.sign(approval(tool_name=None, arguments_sha256=None))
    assert part(token, 1)["tool_name"] is None
    assert verified(token, tool_name=None, arguments_sha256=None).tool_name is None
    assert type(refusal(token, arguments_sha256=None)) is errors.WrongTool
    assert type(refusal(token, tool_name=None)) is errors.WrongArguments


def test_a_rejection_allows_nothing() -> None:
    assert type(refusal(KEYS.sign(approval(decision="reject")))) is errors.NotApproved


@pytest.mark.parametrize("token", [None, "", b"x.y.z"])
def test_no_token_is_refused(token: Any) -> None:
    assert type(refusal(token)) is errors.Malformed


@pytest.mark.parametrize(
    ("after_expiry", "is_good"),
    [
        (LEEWAY - timedelta(microseconds=1), True),
        (LEEWAY, False),
        (LEEWAY + timedelta(days=999), False),
    ],
)
def test_a_token_is_good_until_its_time_and_the_leeway_are_over(
    after_expiry: timedelta, is_good: bool
) -> None:
    now = approval().exp + after_expiry
    if is_good:
        assert verified(TOKEN, now=now) == approval()
    else:
        assert type(refusal(TOKEN, now=now)) is errors.Expired


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_is_good_from_its_time_on_less_the_leeway(claim: str) -> None:
    ahead = NOW + timedelta(seconds=60)
    token = KEYS.sign(approval(**{claim: ahead}))
    assert verified(token, now=ahead - LEEWAY).jti == CLAIMS["jti"]
    too_early = ahead - LEEWAY - timedelta(microseconds=1)
    assert type(refusal(token, now=too_early)) is errors.NotYetValid


def test_of_two_times_to_be_good_from_the_later_counts() -> None:
    token = KEYS.sign(approval(iat=NOW + timedelta(hours=1), nbf=NOW, exp=NOW + timedelta(hours=2)))
    assert type(refusal(token)) is errors.NotYetValid


def test_a_fraction_of_a_second_is_cut_off() -> None:
    moment = NOW + timedelta(microseconds=999_999)
    assert verified(KEYS.sign(approval(iat=moment, exp=moment + timedelta(hours=1)))).iat == NOW


def test_a_token_is_used_once() -> None:
    seen = MemorySingleUse()
    verified(TOKEN, seen=seen)
    assert type(refusal(TOKEN, seen=seen)) is errors.AlreadyUsed
    assert verified(KEYS.sign(approval(jti="another")), seen=seen).jti == "another"


def test_a_refused_token_is_not_used_up() -> None:
    seen = MemorySingleUse()
    changes: tuple[dict[str, Any], ...] = (
        {"issuer": "x"},
        {"audience": "x"},
        {"project_id": "x"},
        {"run_id": "x"},
        {"run_version": 0},
        {"tool_name": "x"},
        {"arguments_sha256": "x"},
        {"now": NOW - timedelta(days=1)},
        {"now": NOW + timedelta(days=1)},
        {"keys": {"keys": []}},
    )
    for change in changes:
        refusal(TOKEN, seen=seen, **change)
    assert type(refusal(KEYS.sign(approval(decision="reject")), seen=seen)) is errors.NotApproved
    assert type(refusal(forged(CLAIMS, OTHER_KEY), seen=seen)) is errors.BadSignature
    assert verified(TOKEN, seen=seen) == approval()


def test_of_many_threads_one_may_make_the_call() -> None:
    seen, together = MemorySingleUse(), threading.Barrier(16)

    def attempt(_: int) -> bool:
        together.wait()
        try:
            verified(TOKEN, seen=seen)
        except errors.AlreadyUsed:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(attempt, range(16))) == [False] * 15 + [True]


class Recorded:
    """A store that gives one answer, whatever that is."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, datetime]] = []

    def use(self, jti: str, remember_until: datetime) -> Any:
        self.asked.append((jti, remember_until))
        return self.answer


def test_a_token_is_remembered_for_as_long_as_it_is_good() -> None:
    seen = Recorded(True)
    verified(TOKEN, seen=seen)
    assert seen.asked == [(CLAIMS["jti"], approval().exp + LEEWAY)]


# object() stands for the coroutine of a store that was to be awaited
@pytest.mark.parametrize("answer", [False, None, 1, "yes", object()])
def test_a_store_that_does_not_answer_true_lets_nothing_through(answer: Any) -> None:
    assert type(refusal(TOKEN, seen=Recorded(answer))) is errors.AlreadyUsed


def test_what_a_store_raises_is_not_held_back() -> None:
    class Away:
        def use(self, jti: str, remember_until: datetime) -> bool:
            raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError):
        verified(TOKEN, seen=Away())


def test_an_outage_of_the_keys_is_no_fault_of_the_token() -> None:
    class Away:
        def find(self, kid: str) -> None:
            raise jwt.PyJWKClientConnectionError("nobody answers")

    with pytest.raises(jwt.PyJWKClientConnectionError):
        verified(TOKEN, keys=Away())


async def test_under_asyncio_one_of_many_may_make_the_call() -> None:
    seen = AsyncMemory()
    attempts = [verify_async(TOKEN, seen=seen, **EXPECTED) for _ in range(16)]
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, Approval)] == [approval()]
    assert sum(type(answer) is errors.AlreadyUsed for answer in answers) == 15


@pytest.mark.parametrize("answer", [False, None, 1])
async def test_under_asyncio_too_only_true_lets_the_call_be_made(answer: Any) -> None:
    recorded = Recorded(answer)

    class Store:
        async def use(self, jti: str, remember_until: datetime) -> Any:
            return recorded.use(jti, remember_until)

    with pytest.raises(errors.AlreadyUsed):
        await verify_async(TOKEN, seen=Store(), **EXPECTED)
    assert recorded.asked == [(CLAIMS["jti"], approval().exp + LEEWAY)]


async def test_under_asyncio_the_same_is_refused_and_not_used_up() -> None:
    seen = AsyncMemory()
    with pytest.raises(errors.WrongVersion):
        await verify_async(KEYS.sign(approval(run_version=8)), seen=seen, **EXPECTED)
    assert await verify_async(TOKEN, seen=seen, **EXPECTED) == approval()


def test_an_expectation_that_is_left_out_or_misspelt_is_no_laxer_check() -> None:
    unchecked: Any = verify
    for name in set(EXPECTED) - {"now"}:
        fewer = {key: value for key, value in EXPECTED.items() if key != name}
        with pytest.raises(TypeError, match=name):
            unchecked(TOKEN, seen=MemorySingleUse(), **fewer)
    with pytest.raises(TypeError, match="tool"):
        unchecked(TOKEN, seen=MemorySingleUse(), **EXPECTED, tool="kubectl_delete")


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
    "change",
    [{"iat": NOW.replace(tzinfo=None)}, {"run_version": True}, {"run_id": "7"}, {"sub": ""}],
    ids=str,
)
def test_an_approval_that_would_be_refused_is_not_made(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        approval(**change)


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawing = (errors.__doc__ or "").partition("RunfoldError\n")[2]
    drawn = {}
    path = [RunfoldError.__name__]
    for line in drawing.splitlines():
        stem, _, name = line.partition("── ")
        depth = len(stem) // 4 + 1
        path = [*path[:depth], name.split()[0]]
        drawn[path[depth]] = path[depth - 1]
    for name, error in inspect.getmembers(errors, inspect.isclass):
        if error.__module__ == errors.__name__:
            parent = error.__mro__[1].__name__.replace("OperationError", "RunfoldError")
            assert drawn.pop(name) == parent
    assert not drawn
