"""Verification of an approval token by the service that is about to make the approved call.

The caller says what it is about to do from what it knows itself, the run as it has it and the
call it would make, and never from the event that carried the token: an event compared with its own
token proves nothing.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NotRequired, TypedDict, Unpack

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from contracts.approvals import errors
from contracts.approvals.approval import ALGORITHM, HEADER_TYPE, MAX_TOKEN_LENGTH, Approval
from contracts.approvals.jwks import KeySet, KeySource
from contracts.approvals.single_use import AsyncSingleUse, SingleUse

LEEWAY: Final = timedelta(seconds=10)
"""How far the clocks of issuer and consumer may be apart."""

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = jwt.PyJWS(algorithms=[ALGORITHM])


class Expected(TypedDict):
    """What a token must be good for. Nothing here has a default that lets more pass."""

    keys: Mapping[str, Any] | KeySource
    """The published keys: a JWKS document, or where to find them."""
    issuer: str
    """Who must have issued it."""
    audience: str
    """The name of the service that verifies it."""
    project_id: str
    """Project of the run."""
    run_id: str
    """Run whose call is about to be made, in any letter case."""
    run_version: int
    """The run's `entityversion` that waits for the approval."""
    tool_name: str | None
    """Tool that is about to be called; None only when the run named none."""
    arguments_sha256: str | None
    """SHA-256 of the arguments it is about to be called with, written as the run wrote it; None
    only when the run named none."""
    now: NotRequired[datetime | None]
    """The time, with an offset; the present unless given."""


def verify(token: str | None, *, seen: SingleUse, **expected: Unpack[Expected]) -> Approval:
    """Return the approval that the token proves, which is used up by that.

    Raises an `ApprovalRefused`, of its own class for each reason, when the call must not be made;
    `KeysUnavailable` when that cannot be told now; ValueError for a JWKS document that is none;
    and what `seen` raises. Only a token that passed everything else is used up: a wrong request
    does not spoil it.

    A token is good until `exp` and `LEEWAY` more.
    """
    approval = _check(token, **expected)
    # A store that forgot to answer, or was to be awaited, has not remembered the token.
    if seen.use(approval.jti, approval.exp + LEEWAY) is not True:
        raise _already_used(approval)
    return approval


async def verify_async(
    token: str | None, *, seen: AsyncSingleUse, **expected: Unpack[Expected]
) -> Approval:
    """`verify` for asyncio: keys are fetched in a thread, and `seen` is awaited."""
    approval = await asyncio.to_thread(_check, token, **expected)
    if await seen.use(approval.jti, approval.exp + LEEWAY) is not True:
        raise _already_used(approval)
    return approval


def _already_used(approval: Approval) -> errors.AlreadyUsed:
    return errors.AlreadyUsed(f"approval {_shown(approval.jti)} has been used")


def _check(
    token: str | None,
    *,
    keys: Mapping[str, Any] | KeySource,
    issuer: str,
    audience: str,
    project_id: str,
    run_id: str,
    run_version: int,
    tool_name: str | None,
    arguments_sha256: str | None,
    now: datetime | None = None,
) -> Approval:
    approval = _claims(_authentic(token, keys))
    _must_be_in_time(approval, now or datetime.now(UTC))
    needed: dict[type[errors.OtherCall], object] = {
        errors.WrongIssuer: issuer,
        errors.WrongAudience: audience,
        errors.WrongProject: project_id,
        errors.WrongRun: run_id.lower(),
        errors.WrongVersion: run_version,
        errors.WrongTool: tool_name,
        errors.WrongArguments: arguments_sha256,
    }
    for error, value in needed.items():
        # Claims of a signed token are no secrets, nor is what they are compared with.
        said = getattr(approval, error.claim)
        if said != value:
            raise error(f"the token's {error.claim} is {_shown(said)}, not {_shown(value)}")
    if approval.decision != "approve":
        raise errors.NotApproved(f"{_shown(approval.sub)} rejected the call")
    return approval


def _authentic(token: str | None, keys: Mapping[str, Any] | KeySource) -> bytes:
    """The payload of a token that one of the keys has signed."""
    if not isinstance(token, str) or not token:
        raise errors.Malformed("there is no token; only an approved decision carries one")
    if len(token) > MAX_TOKEN_LENGTH:
        raise errors.Malformed(f"the token has more than {MAX_TOKEN_LENGTH} characters")
    if not _COMPACT.fullmatch(token):
        raise errors.Malformed("the token is not a JWT in its compact form")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise errors.Malformed(f"the token cannot be read: {_shown(error)}") from None
    key = _key(header, keys)
    try:
        payload: bytes = _VERIFIER.decode_complete(token, key, [ALGORITHM])["payload"]
    except jwt.InvalidSignatureError:
        raise errors.BadSignature("the token's signature does not fit") from None
    return payload


def _key(header: dict[str, Any], keys: Mapping[str, Any] | KeySource) -> Ed25519PublicKey:
    # All of this comes before any key is touched: what a token says of itself chooses nothing
    # but which of the published keys it is held against.
    if header.get("alg") != ALGORITHM:
        raise errors.WrongAlgorithm(
            f"the token is signed with {_shown(header.get('alg'))}, not with {ALGORITHM}"
        )
    if header.get("typ") != HEADER_TYPE:
        raise errors.WrongType(
            f"the token's type is {_shown(header.get('typ'))}, not {HEADER_TYPE!r}"
        )
    kid = header.get("kid", "")
    source = KeySet(keys) if isinstance(keys, Mapping) else keys
    key = source.find(kid) if _THUMBPRINT.fullmatch(kid) else None
    if key is None:
        raise errors.UnknownKey(f"the token names key {_shown(kid)}, which is not published")
    return key


def _claims(payload: bytes) -> Approval:
    try:
        claims = json.loads(payload.decode(), object_pairs_hook=_once)
        return Approval.model_validate(claims)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "the payload"
        if first["type"] == "missing":
            raise errors.MissingClaim(f"the token has no claim {name}") from None
        raise errors.Malformed(f"claim {name}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise errors.Malformed(f"the token's claims cannot be read: {_shown(error)}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two claims with one name, one reader takes the first and another the last.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _must_be_in_time(approval: Approval, now: datetime) -> None:
    valid_from = max(approval.iat, approval.nbf or approval.iat)
    if now >= approval.exp + LEEWAY:
        raise errors.Expired(f"the token expired at {approval.exp:%Y-%m-%dT%H:%M:%SZ}")
    if now < valid_from - LEEWAY:
        raise errors.NotYetValid(f"the token is valid from {valid_from:%Y-%m-%dT%H:%M:%SZ} on")


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, Exception) else str(value)
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return line[:200]
