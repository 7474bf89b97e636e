"""Tokens with a good signature and claims that no issuer should have made."""

import json
from typing import Any

import jwt
import pytest

from contracts.approvals import (
    errors,
)
from tests.approvals import (
    CLAIMS,
    KEY,
    KEYS,
    RUN_ID,
    approval,
    forged,
    refusal,
    verified,
)


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_a_missing_claim_is_named(claim: str) -> None:
    refused = refusal(forged({name: value for name, value in CLAIMS.items() if name != claim}))
    assert type(refused) is errors.MissingClaim
    assert claim in str(refused)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("run_version", 7.0),
        ("run_version", True),
        ("run_version", "7"),
        ("run_version", None),
        ("run_version", 2**63),
        ("run_version", [7]),
        ("aud", ["engine"]),
        ("aud", ["engine", "mailer"]),
        ("aud", None),
        ("iss", ["runfold"]),
        ("iss", None),
        ("sub", ""),
        ("sub", None),
        ("sub", 1),
        ("jti", ""),
        ("jti", 1),
        ("jti", None),
        ("jti", "j" * 201),
        ("iat", float(CLAIMS["iat"])),
        ("iat", str(CLAIMS["iat"])),
        ("iat", True),
        ("iat", "2026-05-18T06:02:00Z"),
        ("exp", float(CLAIMS["exp"])),
        ("exp", str(CLAIMS["exp"])),
        ("exp", None),
        ("exp", -1),
        ("exp", 253_402_300_799),
        ("exp", 10**12),
        ("exp", 10**400),
        ("exp", 1e400),
        ("exp", float("nan")),
        ("nbf", "0"),
        ("project_id", None),
        ("project_id", ""),
        ("run_id", None),
        ("run_id", f"{{{RUN_ID}}}"),
        ("run_id", f"urn:uuid:{RUN_ID}"),
        ("run_id", RUN_ID + "\n"),
        ("decision", "approved"),
        ("decision", "Approve"),
        ("decision", True),
        ("decision", None),
        ("tool_name", ["kubectl_delete"]),
        ("tool_name", False),
        ("arguments_sha256", 0),
        ("arguments_sha256", {}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_claim_of_the_wrong_type_is_named(claim: str, value: Any) -> None:
    refused = refusal(forged({**CLAIMS, claim: value}))
    assert type(refused) is errors.Malformed
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
        "null",
        "[]",
        "7",
        '"text"',
        "{",
        "x",
        "[" * 2000,
        json.dumps(CLAIMS) + "{}",
        "\ufeff" + json.dumps(CLAIMS),
    ],
    ids=lambda payload: repr(payload)[:20],
)
def test_claims_are_one_json_object(payload: str) -> None:
    assert type(refusal(forged(payload))) is errors.Malformed


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_claims_are_in_utf_8(encoding: str) -> None:
    raw = json.dumps(CLAIMS).encode(encoding)
    headers = {"typ": "approval+jwt", "kid": KEYS.kid}
    token = jwt.PyJWS().encode(raw, KEY, "EdDSA", headers=headers)
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
