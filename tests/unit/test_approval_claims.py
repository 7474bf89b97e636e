"""Tokens with a good signature and claims that no issuer should have made."""

import json
from typing import Any

import jwt
import pytest

from contracts.approvals import errors
from tests.approvals import CLAIMS, KEY, KEYS, RUN_ID, approval, forged, refusal, verified


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_a_missing_claim_is_named(claim: str) -> None:
    refused = refusal(forged({name: value for name, value in CLAIMS.items() if name != claim}))
    assert type(refused) is errors.MissingClaim
    assert claim in str(refused)


WRONG: dict[str, list[Any]] = {
    "run_version": [7.0, True, "7", None, 2**63, [7]],
    "aud": [["engine"], ["engine", "mailer"], None],
    "iss": [["runfold"], None],
    "sub": ["", None, 1],
    "jti": ["", 1, None, "j" * 201],
    "iat": [float(CLAIMS["iat"]), str(CLAIMS["iat"]), True, "2026-05-18T06:02:00Z"],
    "exp": [
        *(float(CLAIMS["exp"]), str(CLAIMS["exp"]), None, -1, 253_402_300_799),
        *(10**12, 10**400, 1e400, float("nan")),
    ],
    "nbf": ["0"],
    "project_id": [None, ""],
    "run_id": [None, f"{{{RUN_ID}}}", f"urn:uuid:{RUN_ID}", RUN_ID + "\n"],
    "decision": ["approved", "Approve", True, None],
    "tool_name": [["kubectl_delete"], False],
    "arguments_sha256": [0, {}],
}


@pytest.mark.parametrize("claim", WRONG)
def test_a_claim_of_the_wrong_type_is_named(claim: str) -> None:
    for value in WRONG[claim]:
        refused = refusal(forged({**CLAIMS, claim: value}))
        assert type(refused) is errors.Malformed, value
        assert claim in str(refused)


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_a_claim_that_is_there_twice_is_refused(claim: str) -> None:
    text = json.dumps(CLAIMS)
    twice = f"{text[:-1]}, {json.dumps(claim)}: {json.dumps(CLAIMS[claim])}}}"
    assert type(refusal(forged(twice))) is errors.Malformed
    escaped = "".join(f"\\u{ord(char):04x}" for char in claim)
    assert type(refusal(forged(f'{text[:-1]}, "{escaped}": 1}}'))) is errors.Malformed


@pytest.mark.parametrize(
    "payload",
    [
        *(b"null", b"[]", b"7", b'"text"', b"{", b"x", b"[" * 2000),
        json.dumps(CLAIMS).encode() + b"{}",
        *(json.dumps(CLAIMS).encode(encoding) for encoding in ("utf-16", "utf-32", "utf-8-sig")),
    ],
    ids=lambda payload: repr(payload)[:20],
)
def test_claims_are_one_json_object_in_utf_8(payload: bytes) -> None:
    headers = {"typ": "approval+jwt", "kid": KEYS.kid}
    token = jwt.PyJWS().encode(payload, KEY, "EdDSA", headers=headers)
    assert type(refusal(token)) is errors.Malformed


def test_claims_and_headers_that_are_not_known_are_ignored() -> None:
    token = forged({**CLAIMS, "scope": ["a"]}, jku="https://evil.example", x5u="file:///dev/zero")
    assert verified(token) == approval()


def test_no_message_holds_the_token_or_breaks_the_line() -> None:
    odd = "x\n\x1b[31m\u2028" * 50
    token = KEYS.sign(approval(tool_name=odd))
    line = str(refusal(token))
    assert token not in line
    assert odd not in line
