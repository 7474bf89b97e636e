"""Approval tokens for tests: genuine ones, and ones that somebody has tampered with."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.approvals import (
    Approval,
    Expected,
    MemorySingleUse,
    SigningKeys,
    errors,
    verify,
)

KEY: Final = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
OTHER_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
KEYS: Final = SigningKeys(KEY)

NOW: Final = datetime(2026, 5, 18, 6, 2, tzinfo=UTC)
RUN_ID: Final = "3f6c8f0e-7f0a-4b7e-9d53-6a4d5f1f2a10"
ARGUMENTS: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

CLAIMS: Final[dict[str, Any]] = {
    "iss": "runfold",
    "aud": "engine",
    "sub": "ada",
    "jti": "0e2a7f5c-0d7f-4b47-9c4a-0f4b7c1f3d55",
    "iat": int(NOW.timestamp()),
    "exp": int((NOW + timedelta(minutes=5)).timestamp()),
    "project_id": "p1",
    "run_id": RUN_ID,
    "run_version": 7,
    "decision": "approve",
    "tool_name": "kubectl_delete",
    "arguments_sha256": ARGUMENTS,
}

EXPECTED: Final[Expected] = {
    "keys": KEYS.jwks(),
    "issuer": "runfold",
    "audience": "engine",
    "project_id": "p1",
    "run_id": RUN_ID,
    "run_version": 7,
    "tool_name": "kubectl_delete",
    "arguments_sha256": ARGUMENTS,
    "now": NOW,
}


def approval(**changes: object) -> Approval:
    """A genuine approval of the call that is expected, with changes."""
    return Approval.model_validate({**CLAIMS, **changes})


def forged(
    payload: str | dict[str, Any],
    key: Any = KEY,
    algorithm: str = "EdDSA",
    **header: object,
) -> str:
    """A token of any claims, signed with any key; the header is the genuine one with changes."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    headers = {"typ": "approval+jwt", "kid": KEYS.kid, **header}
    present = {name: value for name, value in headers.items() if value is not None}
    return jwt.PyJWS().encode(text.encode(), key, algorithm, headers=present)


def verified(token: str | None, **changes: Any) -> Approval:
    """What verification answers for the call that is expected, with changes."""
    given: Any = {"seen": MemorySingleUse(), **EXPECTED, **changes}
    return verify(token, **given)


def refusal(token: str | None, **changes: Any) -> errors.ApprovalRefused:
    """Why verification refuses; the reason is one line for people."""
    with pytest.raises(errors.ApprovalRefused) as raised:
        verified(token, **changes)
    line = str(raised.value)
    assert line
    assert line.isprintable()
    assert len(line) < 500
    return raised.value


TOKEN: Final = KEYS.sign(approval())


class AsyncMemory:
    """The store of an asyncio consumer."""

    def __init__(self) -> None:
        self.memory = MemorySingleUse()

    async def use(self, jti: str, remember_until: datetime) -> bool:
        await asyncio.sleep(0)
        return self.memory.use(jti, remember_until)
