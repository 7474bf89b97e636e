"""Approval tokens for tests: genuine ones, and ones that somebody has tampered with."""

import dataclasses
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt import api_jwt

from contracts.jwks import Jwks, KeySet
from contracts.signing_keys import SigningKeys
from contracts.tokens import Approval, ApprovalRefused, Expected, MemorySingleUse, Reason, verify

KEY: Final = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
OTHER_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
KEYS: Final = SigningKeys(KEY)
OTHER: Final = SigningKeys(OTHER_KEY)
PUBLISHED: Final = KeySet(KEYS.jwks())

NOW: Final = int(time.time())
RUN_ID: Final = "3f6c8f0e-7f0a-4b7e-9d53-6a4d5f1f2a10"
ARGUMENTS: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

CLAIMS: Final[dict[str, Any]] = {
    "iss": "runfold",
    "aud": "engine",
    "sub": "ada",
    "jti": "0e2a7f5c-0d7f-4b47-9c4a-0f4b7c1f3d55",
    "iat": NOW,
    "exp": NOW + 86_400,
    "project_id": "p1",
    "run_id": RUN_ID,
    "run_version": 7,
    "decision": "approve",
    "tool_name": "kubectl_delete",
    "arguments_sha256": ARGUMENTS,
}

CALL: Final = ("project_id", "run_id", "run_version", "tool_name", "arguments_sha256")
EXPECTED: Final = Expected(
    issuer="runfold", audience="engine", **{name: CLAIMS[name] for name in CALL}
)


def approval(**changes: object) -> Approval:
    """A genuine approval of the call that is expected, with changes."""
    return Approval.model_validate({**CLAIMS, **changes})


def forged(
    payload: bytes | dict[str, Any], key: Any = KEY, algorithm: str = "EdDSA", **header: object
) -> str:
    """A token of any claims, signed with any key; the header is the genuine one with changes."""
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {"typ": "approval+jwt", "kid": KEYS.kid, **header}
    present = {name: value for name, value in headers.items() if value is not None}
    return jwt.PyJWS().encode(text, key, algorithm, headers=present)


def verified(token: Any, keys: Any = PUBLISHED, seen: Any = None, **changes: Any) -> Approval:
    """What verification answers for the call that is expected, with changes."""
    expected = dataclasses.replace(EXPECTED, **changes)
    return verify(token, expected, keys=keys, seen=seen or MemorySingleUse())


def refusal(token: Any, reason: Reason | None = None, **changes: Any) -> str:
    """The line that says why verification refuses, for this reason if one is given."""
    with pytest.raises(ApprovalRefused) as raised:
        verified(token, **changes)
    line = str(raised.value)
    assert line
    assert line.isprintable()
    assert len(line) < 500
    assert reason in {None, raised.value.reason}
    return line


TOKEN: Final = KEYS.sign(approval())


class JwksFile:
    """A file of public keys, which changes, the keys that are read from it, and a clock."""

    def __init__(self, directory: Path, *entries: dict[str, Any]) -> None:
        self.path, self.now = directory / "jwks.json", 1000.0
        self.publish(*entries)
        self.jwks = Jwks(str(self.path), clock=lambda: self.now)

    def publish(self, *entries: dict[str, Any]) -> None:
        self.path.write_text(json.dumps({"keys": entries}), "utf-8")


def stop_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Make it this time, in seconds since 1970, for PyJWT too."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Stopped":
            return cls.fromtimestamp(seconds, tz)

    monkeypatch.setattr(api_jwt, "datetime", Stopped)
    monkeypatch.setattr(time, "time", lambda: seconds)
