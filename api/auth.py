"""Who is asking: bearer tokens, verified, and the roles they carry.

No token or a bad one is 401, a role that does not suffice is 403.
"""

import asyncio
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import jwt
from jwt.utils import base64url_encode

from api.problems import Problem, unavailable
from contracts.errors import SettingError
from contracts.jwks import UNUSABLE, Jwks, KeyNotLoaded, KeysUnavailable
from contracts.settings import AuthSettings
from contracts.tokens import LEEWAY_S, Reason, refusal

REALM: Final = 'Bearer realm="runfold"'
MISSING: Final = "missing_token"
INVALID: Final = "invalid_token"
LONGEST_TOKEN: Final = 16_384
"""Most characters of a token."""
KNOWN_TOKENS: Final = 1_024
"""Tokens that are verified once; a client sends the same one with every request."""

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


class Verifier:
    """Turns a token into its bearer."""

    def __init__(self, keys: Jwks | jwt.PyJWK, issuer: str, audience: str) -> None:
        """Verify with a JWKS, or with one secret whatever key a token names."""
        self._keys, self._issuer, self._audience = keys, issuer, audience
        self._loading = asyncio.Lock()
        self._bearer = lru_cache(KNOWN_TOKENS)(self._verified)

    async def bearer(self, token: str | None) -> Bearer:
        """Return who holds the token. Raises `Problem`: 401, 503.

        A token that was found good with a key stays so, with this key, until it expires.
        """
        if token is None:
            raise Unauthenticated(MISSING, "a bearer token is needed")
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated(INVALID, f"the token has more than {LONGEST_TOKEN} characters")
        try:
            bearer = self._bearer(token, await self._key(_kid(token)))
            if bearer.expires_at <= time.time():
                raise jwt.ExpiredSignatureError
        except jwt.PyJWTError as error:
            raise Unauthenticated(INVALID, _words(error)) from None
        return bearer

    async def _key(self, kid: str | None) -> jwt.PyJWK:
        if isinstance(self._keys, jwt.PyJWK):
            return self._keys
        if (key := self._keys.ready(kid)) is not None:
            return key
        try:
            async with self._loading:  # one thread at most, whatever keys tokens name
                key = await asyncio.to_thread(self._keys.find, kid)
        except KeyNotLoaded:
            key = None
        except KeysUnavailable:
            detail = "the keys tokens are verified with are not there"
            raise unavailable("keys_unavailable", detail) from None
        if key is None:
            raise jwt.InvalidKeyError
        return key

    def _verified(self, token: str, key: jwt.PyJWK) -> Bearer:
        return _bearer(
            jwt.decode(
                token,
                key,
                # What the token says of itself decides nothing.
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        )


def verifier(settings: AuthSettings) -> Verifier:
    """Return what verifies with the keys that are set up. Raises `SettingError`.

    A URL is asked when the first token comes: its server may start after this one.
    """
    keys: Jwks | jwt.PyJWK
    if settings.auth_hs256_secret is not None:
        secret = base64url_encode(settings.auth_hs256_secret.get_secret_value().encode()).decode()
        keys = jwt.PyJWK({"kty": "oct", "k": secret}, "HS256")
    else:
        keys = _jwks(str(settings.auth_jwks))
    return Verifier(keys, settings.auth_issuer, settings.auth_audience)


def _jwks(source: str) -> Jwks:
    try:
        keys = Jwks(source)
        if "://" not in source and not keys.load():
            raise ValueError("it has no EdDSA, ES256 or RS256 key")
    except UNUSABLE as error:
        raise SettingError(f"RUNFOLD_AUTH_JWKS: {source} cannot be used: {error}") from error
    return keys


@lru_cache(KNOWN_TOKENS)
def _kid(token: str) -> str | None:
    kid: str | None = jwt.get_unverified_header(token).get("kid")
    return kid


def _bearer(claims: dict[str, Any]) -> Bearer:
    projects, roles = claims.get("projects", []), claims.get("roles", [])
    if not claims["sub"] or not _is_texts([claims["sub"]]) or not _is_texts(roles):
        raise jwt.InvalidTokenError
    if projects != "*" and not _is_texts(projects):
        raise jwt.InvalidTokenError
    try:
        expires_at = float(int(claims["exp"]) + LEEWAY_S)
    except OverflowError:  # no clock will reach it
        raise jwt.InvalidTokenError from None
    return Bearer(
        subject=claims["sub"],
        projects=None if projects == "*" else tuple(sorted(set(projects))),
        roles=frozenset(Role(role) for role in roles if role in set(Role)),
        expires_at=expires_at,
    )


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, str) and _STORABLE.fullmatch(each) for each in value
    )


def _words(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return "the token lacks a claim: exp, iss, aud, sub are needed"
    reason, words = refusal(error)
    # PyJWT's own words may hold what the token does.
    return "the token cannot be accepted" if reason is Reason.MALFORMED else words
