"""Approval tokens: a human's decision on one call, which consumers can verify and nobody can forge.

The API signs an `Approval` with its `contracts.signing_keys` and publishes their JWKS. The service
that makes the call verifies the token against what it knows itself, never against the event that
carried the token: an event compared with its own token proves nothing.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Protocol

import jwt
from jwt.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contracts.errors import RunfoldError
from contracts.fields import ID_LENGTH, INT64_MAX, TEXT_LENGTH
from contracts.jwks import KeySource
from contracts.keys import UUID

ALGORITHM: Final = "EdDSA"
HEADER_TYPE: Final = "approval+jwt"
"""The header `typ`: no other JWT that the same key may have signed passes for an approval."""
MAX_TOKEN_LENGTH: Final = TEXT_LENGTH
"""Most characters of a token: as many as its field in the event `approval_decided` may have."""
LEEWAY_S: Final = 10
"""How far the clocks of issuer and verifier may be apart."""

# Seconds since 1970, in years that datetime has, a leeway later too.
_Seconds = Annotated[int, Field(ge=0, le=253_402_214_400)]
_Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH)]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH)]


class Approval(BaseModel):
    """A human's decision on one call of one run at one version; its fields are a token's claims.

    Claims it does not know are ignored: the issuer may be newer than the consumer.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    iss: _Id
    aud: _Id
    """The one service that may act on it."""
    sub: _Id
    """Who decided."""
    jti: _Id
    """Its id, by which it is used only once."""
    iat: _Seconds
    exp: _Seconds
    nbf: _Seconds | None = None
    project_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    run_id: Annotated[str, StringConstraints(pattern=f"^{UUID}$", to_lower=True)]
    run_version: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
    """The run's `entityversion` that was decided on."""
    decision: Literal["approve", "reject"]
    tool_name: _Text | None
    """Tool that may be called; null where the run named none."""
    arguments_sha256: _Text | None
    """SHA-256 of the arguments of the call; null where the run named none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say for the call to be made; nothing has a default that lets more pass."""

    issuer: str
    audience: str
    """The name of the service that verifies."""
    project_id: str
    run_id: str
    """Run whose call is about to be made, in any letter case."""
    run_version: int
    """The run's `entityversion` that waits for the approval."""
    tool_name: str | None
    """Tool that is about to be called; None only when the run named none."""
    arguments_sha256: str | None
    """As the run wrote it; None only when the run named none."""


class Reason(StrEnum):
    """Why a token is refused; only `NOT_YET_VALID` may pass with time."""

    MALFORMED = "malformed"
    """Not a JWT in its compact form, too long, or a claim is missing, twice there or wrong."""
    WRONG_TYPE = "wrong_type"
    """A JWT made for something else."""
    WRONG_ALGORITHM = "wrong_algorithm"
    UNKNOWN_KEY = "unknown_key"
    """Names a key that is not published, or none."""
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_PROJECT = "wrong_project"
    WRONG_RUN = "wrong_run"
    WRONG_VERSION = "wrong_version"
    WRONG_TOOL = "wrong_tool"
    WRONG_ARGUMENTS = "wrong_arguments"
    REJECTED = "rejected"
    """Proves that a human has rejected the call."""
    ALREADY_USED = "already_used"


class ApprovalRefused(RunfoldError):
    """The token does not allow the call. The message is one line and never holds the token."""

    def __init__(self, reason: Reason, detail: str) -> None:
        shown = (char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in detail)
        super().__init__("".join(shown)[:400])
        self.reason = reason


class SingleUse(Protocol):
    """Remembers which approvals have been used, for all workers of a consumer.

    A consumer with a database keeps a table whose primary key is `jti`, and answers whether

        INSERT INTO used_approval (jti, remember_until) VALUES ($1, $2) ON CONFLICT DO NOTHING

    has inserted a row. It does so in the transaction in which it records that the call is to be
    made, and commits before it makes it: whatever crashes, and however many workers are given the
    token, the call is made at most once. A row may be deleted after its time.
    """

    def use(self, jti: str, remember_until: datetime) -> bool:
        """Return True the first time the id is given, False ever after, in one atomic step.

        The id must be remembered until the given time; from then on the token is expired.
        """


class AsyncSingleUse(Protocol):
    """`SingleUse` for asyncio."""

    async def use(self, jti: str, remember_until: datetime) -> bool:
        """Return True the first time the id is given, False ever after, in one atomic step."""


class MemorySingleUse:
    """Remembers in this process only, for tests and examples.

    After a restart, and in another worker, every token could be used once more.
    """

    def __init__(self) -> None:
        self._used: dict[str, object] = {}

    def use(self, jti: str, remember_until: datetime) -> bool:
        """Return True the first time the id is given, False ever after."""
        mine = object()
        return self._used.setdefault(jti, mine) is mine  # one atomic step


def verify(token: str | None, expected: Expected, *, keys: KeySource, seen: SingleUse) -> Approval:
    """Return the approval that the token proves, which is used up by that.

    Raises `ApprovalRefused` when the call must not be made, `KeysUnavailable` when that cannot be
    told now, and what `seen` raises. Only a token that passed everything else is used up: a wrong
    request does not spoil it.
    """
    approval = _check(token, expected, keys)
    _must_be_first(approval, seen.use(approval.jti, _remember_until(approval)))
    return approval


async def verify_async(
    token: str | None, expected: Expected, *, keys: KeySource, seen: AsyncSingleUse
) -> Approval:
    """`verify` for asyncio: keys are loaded in a thread, and `seen` is awaited."""
    approval = await asyncio.to_thread(_check, token, expected, keys)
    _must_be_first(approval, await seen.use(approval.jti, _remember_until(approval)))
    return approval


def refusal(error: jwt.PyJWTError) -> tuple[Reason, str]:
    """Return why PyJWT refuses a token, and that in words."""
    for kind, reason, words in _REFUSALS:
        if isinstance(error, kind):
            return reason, words
    return Reason.MALFORMED, f"the token cannot be read: {error}"


_REFUSALS: Final[tuple[tuple[type[jwt.PyJWTError], Reason, str], ...]] = (
    (jwt.ExpiredSignatureError, Reason.EXPIRED, "the token has expired"),
    (jwt.ImmatureSignatureError, Reason.NOT_YET_VALID, "the token is not valid yet"),
    (jwt.InvalidIssuerError, Reason.WRONG_ISSUER, "the token is from another issuer"),
    (jwt.InvalidAudienceError, Reason.WRONG_AUDIENCE, "the token is for another audience"),
    (jwt.InvalidAlgorithmError, Reason.WRONG_ALGORITHM, "the token's algorithm is not accepted"),
    (jwt.InvalidSignatureError, Reason.BAD_SIGNATURE, "the token's signature is not right"),
)
_COMPARED: Final = {
    "project_id": Reason.WRONG_PROJECT,
    "run_id": Reason.WRONG_RUN,
    "run_version": Reason.WRONG_VERSION,
    "tool_name": Reason.WRONG_TOOL,
    "arguments_sha256": Reason.WRONG_ARGUMENTS,
}
# PyJWT would let padding pass, and raises other errors than its own for half a surrogate pair.
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def _check(token: str | None, expected: Expected, keys: KeySource) -> Approval:
    if not isinstance(token, str) or not token:
        raise ApprovalRefused(Reason.MALFORMED, "no token; only an approval carries one")
    if len(token) > MAX_TOKEN_LENGTH or not _COMPACT.fullmatch(token):
        what = f"the token is not a JWT of at most {MAX_TOKEN_LENGTH} characters"
        raise ApprovalRefused(Reason.MALFORMED, what)
    try:
        jwt.decode(
            token,
            _key(jwt.get_unverified_header(token), keys),
            algorithms=[ALGORITHM],
            # A list, since PyJWT takes None for leave to accept any.
            issuer=[expected.issuer],
            audience=expected.audience,
            leeway=LEEWAY_S,
            options={"require": ["iss", "aud", "sub", "jti", "iat", "exp"], "strict_aud": True},
        )
    except jwt.InvalidTokenError as error:
        raise ApprovalRefused(*refusal(error)) from None
    approval = _approval(token)
    for claim, reason in _COMPARED.items():
        said, needed = getattr(approval, claim), getattr(expected, claim)
        if said != (needed.lower() if claim == "run_id" else needed):
            # Claims of a signed token are no secrets, nor is what they are compared with.
            detail = f"the token's {claim} is {said!r:.150}, not {needed!r:.150}"
            raise ApprovalRefused(reason, detail)
    if approval.decision != "approve":
        raise ApprovalRefused(Reason.REJECTED, f"{approval.sub!r} rejected the call")
    return approval


def _key(header: dict[str, Any], keys: KeySource) -> jwt.PyJWK:
    kid = header.get("kid")
    if header.get("typ") != HEADER_TYPE:
        what = f"the token's type is {header.get('typ')!r:.60}, not {HEADER_TYPE}"
        raise ApprovalRefused(Reason.WRONG_TYPE, what)
    if not kid or (key := keys.find(kid)) is None:
        what = f"the token names key {kid!r:.60}, which is not published"
        raise ApprovalRefused(Reason.UNKNOWN_KEY, what)
    return key


def _approval(token: str) -> Approval:
    try:
        text = base64url_decode(token.split(".")[1]).decode()
        return Approval.model_validate(json.loads(text, object_pairs_hook=_once))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = f"claim {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        what = f"the token's claims cannot be read: {error}"
    raise ApprovalRefused(Reason.MALFORMED, what)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two claims with one name, one reader takes the first and another the last.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _remember_until(approval: Approval) -> datetime:
    return datetime.fromtimestamp(approval.exp + LEEWAY_S, UTC)


def _must_be_first(approval: Approval, answer: object) -> None:
    # A store that forgot to answer, or was to be awaited, has not remembered the token.
    if answer is not True:
        raise ApprovalRefused(Reason.ALREADY_USED, f"approval {approval.jti!r} has been used")
