"""The keys that bearer tokens are verified with: a shared secret, or a JWKS that rotates."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import jwt
import orjson
import structlog

from api.problems import Unavailable
from contracts.approvals.jwks_url import REFRESH_S, TRUST_S
from contracts.errors import SettingError
from contracts.settings import AuthSettings

ASYMMETRIC: Final = frozenset({"EdDSA", "ES256", "RS256"})
RETRY_S: Final = 10.0
"""How often an unknown `kid` may make us look again."""
FETCH_TIMEOUT_S: Final = 5.0

UNUSABLE: Final = (jwt.PyJWKClientError, OSError, ValueError, RecursionError)
"""What is raised of a JWKS that is not there, or is none."""

logger = structlog.stdlib.get_logger("api.keys")


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A key, and the one algorithm it is used with; one that was loaded again is another key."""

    material: Any
    algorithm: str


class Keys(Protocol):
    """Where verification keys come from."""

    async def find(self, kid: str | None) -> Key | None:
        """Return the key of this id, None when there is none. Raises `Unavailable`."""


class SharedSecret:
    """One HS256 secret, whatever `kid` a token names."""

    def __init__(self, secret: str) -> None:
        self._key = Key(secret.encode(), "HS256")

    async def find(self, kid: str | None) -> Key | None:
        """Return the secret."""
        return self._key


class Jwks:
    """The public keys of a JWKS, loaded again when they grow old or an unknown one is named."""

    def __init__(self, load: Callable[[], bytes], clock: Callable[[], float] = time.monotonic):
        self._load, self._clock = load, clock
        self._keys: dict[str | None, Key] = {}
        self._tried_at = float("-inf")
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()

    async def find(self, kid: str | None) -> Key | None:
        """Return the key of this id; without an id the only key there is, if there is only one.

        Raises `Unavailable` when no key could be loaded yet, or for so long that none is trusted.
        """
        # Who has a known key does not wait while another request sees to its age.
        if self._is_due(kid) and not (self._known(kid) and self._loading.locked()):
            async with self._loading:
                if self._is_due(kid):
                    await self._refresh()
        if self._clock() - self._loaded_at > TRUST_S:
            raise Unavailable("keys_unavailable", "the keys tokens are verified with are not there")
        return self._known(kid)

    def _known(self, kid: str | None) -> Key | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _is_due(self, kid: str | None) -> bool:
        now = self._clock()
        is_old = now - self._loaded_at > REFRESH_S
        return (is_old or self._known(kid) is None) and now - self._tried_at > RETRY_S

    async def _refresh(self) -> None:
        try:
            self._keys = parse(await asyncio.to_thread(self._load))
            self._loaded_at = self._clock()
        except UNUSABLE as error:
            # The keys that are known serve for a while: an outage there must not be one here.
            logger.warning("the JWKS could not be loaded", error=str(error))
        finally:
            self._tried_at = self._clock()


def parse(text: bytes) -> dict[str | None, Key]:
    """Return the usable signature keys of a JWKS by their `kid`.

    A key of another algorithm than the pinned ones is none: a symmetric key in a JWKS would let
    anybody who can read it sign. Raises ValueError when the text is no JWKS.
    """
    document = orjson.loads(text)
    match document:
        case {"keys": list() as entries}:
            pass
        case _:
            raise ValueError('it has no list "keys"')
    found = [_jwk(entry) for entry in entries if isinstance(entry, dict)]
    return {
        jwk.key_id: Key(jwk.key, jwk.algorithm_name)
        for jwk in found
        if jwk is not None and jwk.algorithm_name in ASYMMETRIC
    }


def _jwk(entry: dict[str, Any]) -> jwt.PyJWK | None:
    is_named = isinstance(entry.get("kid"), str | None)
    # A list: an `alg` that is no text may not be hashable.
    is_ours = entry.get("alg") in [None, *ASYMMETRIC]
    if not is_named or not is_ours or entry.get("use", "sig") != "sig":
        return None
    try:
        return jwt.PyJWK(entry)
    except jwt.PyJWTError:
        # A kind of key that is not known here cannot have signed what is accepted here.
        return None


def from_settings(settings: AuthSettings) -> Keys:
    """Return the keys that are set up. Raises `SettingError` when a JWKS file is unusable.

    A URL is asked when the first token comes: its server may start after this one.
    """
    if settings.auth_hs256_secret is not None:
        return SharedSecret(settings.auth_hs256_secret.get_secret_value())
    source = str(settings.auth_jwks)
    if source.startswith(("https://", "http://")):
        # It follows no redirect. The settings let https:// through, and http:// to this machine.
        client = jwt.PyJWKClient(source, cache_jwk_set=False, timeout=FETCH_TIMEOUT_S)
        return Jwks(lambda: orjson.dumps(client.fetch_data()))
    try:
        usable = parse(Path(source).read_bytes())
    except UNUSABLE as error:
        raise SettingError(f"RUNFOLD_AUTH_JWKS: {source} is no JWKS file: {error}") from error
    if not usable:
        raise SettingError(f"RUNFOLD_AUTH_JWKS: {source} has no EdDSA, ES256 or RS256 key")
    return Jwks(Path(source).read_bytes)
