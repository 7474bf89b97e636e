"""Who is asking: bearer tokens, verified, and the roles they carry.

The API's "Who may see what": a JWT with pinned algorithms; no token or a bad one is 401, a role
that does not suffice is 403.
"""

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeVar, TypeVarTuple, cast

import jwt

from api.keys import Key, Keys
from api.problems import Problem

Rest = TypeVarTuple("Rest")
T = TypeVar("T")

REQUIRED_CLAIMS: Final = ["exp", "iss", "aud", "sub"]
REALM: Final = 'Bearer realm="runfold"'

# What PostgreSQL's text can hold: neither NUL nor half of a surrogate pair.
_STORABLE: Final = re.compile(r"[^\0\ud800-\udfff]*")


class Role(StrEnum):
    """What a bearer may do."""

    VIEWER = "viewer"
    """Read."""
    APPROVER = "approver"
    """Read, and decide on runs that wait for approval."""
    OPERATOR = "operator"
    """Everything, the operations endpoints too."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who holds a verified token, and what it lets them see."""

    subject: str
    projects: tuple[str, ...] | None
    """Projects that exist for the bearer; None is every project."""
    roles: frozenset[Role]
    expires_at: float = field(default=math.inf, compare=False)
    """When the token ceases to be good, in seconds since 1970."""

    def among(self, asked: Sequence[str] | None) -> list[str] | None:
        """Return which of the projects asked for exist for the bearer; None is every project."""
        if asked is None:
            return None if self.projects is None else list(self.projects)
        seen = asked if self.projects is None else set(asked).intersection(self.projects)
        return sorted(set(seen))


class Unauthenticated(Problem):
    """There is no token, or it does not verify. Which check failed is said; no key ever is."""

    def __init__(self, code: str, detail: str) -> None:
        # Without any token the challenge names no error (RFC 6750, section 3).
        error = f', error="{code}", error_description="{detail}"' if code == INVALID else ""
        super().__init__(401, code, detail, headers={"WWW-Authenticate": REALM + error})


class Forbidden(Problem):
    """The token is good and its roles do not suffice."""

    def __init__(self, needed: Sequence[Role]) -> None:
        super().__init__(403, "forbidden", f"this needs the role {' or '.join(needed)}")


MISSING: Final = "missing_token"
INVALID: Final = "invalid_token"

_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidIssuerError, "the token is from another issuer"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
    (jwt.MissingRequiredClaimError, "the token lacks a claim: exp, iss, aud, sub are needed"),
    (jwt.InvalidAlgorithmError, "the token is signed with an algorithm that is not accepted"),
    (jwt.InvalidSignatureError, "the token's signature is not right"),
)


KNOWN_TOKENS: Final = 1_024
"""Tokens that are known again; a client sends the same one with every request."""
LONGEST_KNOWN: Final = 8_192
"""Most characters of one of them: anybody may send what is none."""


def _remembering(read: Callable[[str, *Rest], T]) -> Callable[[str, *Rest], T]:
    """Return a function of a token that remembers what it has returned, but for long ones."""
    known = cast("Callable[[str, *Rest], T]", lru_cache(KNOWN_TOKENS)(read))

    def remembered(token: str, *rest: *Rest) -> T:
        return (known if len(token) <= LONGEST_KNOWN else read)(token, *rest)

    return remembered


class Verifier:
    """Turns a token into its bearer."""

    def __init__(self, keys: Keys, issuer: str, audience: str) -> None:
        self._keys, self._issuer, self._audience = keys, issuer, audience
        self._bearer = _remembering(self._verify)

    async def bearer(self, token: str | None) -> Bearer:
        """Return who holds the token. Raises `Unauthenticated`.

        A token that was found good with a key stays so, with this key, until it expires.
        """
        if token is None:
            raise Unauthenticated(MISSING, "a bearer token is needed")
        try:
            key = await self._keys.find(_kid(token))
            if key is None:
                raise jwt.InvalidKeyError("unknown key")
            bearer = self._bearer(token, key)
            if bearer.expires_at <= time.time():
                raise jwt.ExpiredSignatureError("expired")
        except jwt.PyJWTError as error:
            raise Unauthenticated(INVALID, _reason(error)) from None
        except RecursionError:
            raise Unauthenticated(INVALID, "the token cannot be read") from None
        return bearer

    def _verify(self, token: str, key: Key) -> Bearer:
        claims = jwt.decode(
            token,
            key.material,
            # The key says which algorithm it is for; what the token says of itself decides nothing.
            algorithms=[key.algorithm],
            issuer=self._issuer,
            audience=self._audience,
            options={"require": REQUIRED_CLAIMS},
        )
        return _bearer(claims)


@_remembering
def _kid(token: str) -> str | None:
    """Return which key a token says it is signed with; nothing is known of it yet."""
    kid: str | None = jwt.get_unverified_header(token).get("kid")
    return kid


def _bearer(claims: dict[str, Any]) -> Bearer:
    projects, roles = claims.get("projects", []), claims.get("roles", [])
    if projects != "*" and not _is_texts(projects):
        raise jwt.InvalidTokenError("projects")
    if not _is_texts(roles):
        raise jwt.InvalidTokenError("roles")
    if not _is_texts([claims["sub"]]) or not claims["sub"]:
        raise jwt.InvalidTokenError("sub")
    return Bearer(
        subject=claims["sub"],
        projects=None if projects == "*" else tuple(sorted(set(projects))),
        roles=frozenset(Role(role) for role in roles if role in set(Role)),
        expires_at=_instant(claims["exp"]),
    )


def _instant(seconds: float) -> float:
    """Return seconds since 1970. Raises InvalidTokenError for a number no clock will reach."""
    try:
        return float(int(seconds))  # as it is compared when the token is verified
    except OverflowError:
        raise jwt.InvalidTokenError("exp") from None


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, str) and _STORABLE.fullmatch(each) for each in value
    )


def _reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "the token cannot be accepted"
