"""Public keys by their `kid`: those of approval tokens, and of the API's bearer tokens."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from contracts.errors import OperationError

REFRESH_S: Final = 300.0
"""A key that was withdrawn is trusted no longer than this while the source answers."""
TRUST_S: Final = 3600.0
"""Keys are trusted no longer than this while the source does not answer."""
RETRY_S: Final = 5.0
"""The source is asked no more often than this, whatever keys tokens name."""
TIMEOUT_S: Final = 5.0

UNUSABLE: Final = (jwt.PyJWKClientError, OSError, ValueError, RecursionError)
"""What loading raises when the source cannot be read or is not a JWKS."""

# Public keys only: a secret that is published lets everybody sign.
_KINDS: Final[dict[str, type]] = {
    "EdDSA": Ed25519PublicKey,
    "ES256": EllipticCurvePublicKey,
    "RS256": RSAPublicKey,
}
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

# The standard library's, because other services import this module.
logger = logging.getLogger(__name__)


class KeysUnavailable(OperationError):
    """The keys cannot be loaded now. The token may be good: verify it again later."""


class KeyNotLoaded(KeysUnavailable):
    """The key is unknown, and the source was asked too recently to be asked again."""


class KeySource(Protocol):
    """Finds published keys."""

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id, None when there is none. Raises `KeysUnavailable`."""


class KeySet:
    """The EdDSA, ES256 and RS256 keys of one JWKS document; others are left out."""

    def __init__(self, document: object) -> None:
        """Read the document. Raises ValueError when it is not a JWKS."""
        match document:
            case {"keys": list() as entries}:
                found = [key for entry in entries if (key := _signature_key(entry))]
            case _:
                raise ValueError('a JWKS has a list "keys"')
        # Of two keys with one name, one reader would take the first and another the last.
        named = Counter(key.key_id for key in found)
        self._keys = {key.key_id: key for key in found if named[key.key_id] == 1}

    def __len__(self) -> int:
        """Return how many keys can be found."""
        return len(self._keys)

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id; without an id, the only key if there is only one."""
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)


class Jwks:
    """A JWKS at a URL or in a file, loaded when it is old or a token names an unknown key.

    Threads may share one.
    """

    def __init__(self, source: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Load nothing yet. A redirect of the URL will not be followed.

        Raises ValueError for a URL that is neither `https://` nor `http://` to this machine:
        keys fetched without TLS could be anybody's.
        """
        self._source, self._clock = source, clock
        self._read = _reader(source)
        self._loading = threading.Lock()
        self._keys = KeySet({"keys": []})
        self._tried_at = self._loaded_at = float("-inf")
        self._failure = ""

    def load(self) -> int:
        """Load the keys now, return how many there are. Raises one of `UNUSABLE`."""
        started_at = self._clock()
        try:
            self._keys = KeySet(self._read())
            self._loaded_at = started_at
        finally:
            self._tried_at = self._clock()
        return len(self._keys)

    def ready(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key if there is no need to wait for it, else None.

        Nobody waits for a known key while another thread loads, or just after that has failed.
        """
        now = self._clock()
        is_seen_to = self._loading.locked() or now - self._tried_at < RETRY_S
        age = now - self._loaded_at
        return self._keys.find(kid) if age <= (TRUST_S if is_seen_to else REFRESH_S) else None

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id, None when there is none; blocks while it loads keys.

        Raises `KeysUnavailable` when the source has not answered for so long that no key is
        trusted, and `KeyNotLoaded` for a key that may have been published since the last load.
        """
        asked_at = self._clock()
        if (known := self.ready(kid)) is not None:
            return known
        with self._loading:
            if self._clock() - self._tried_at >= RETRY_S:
                self._refresh()
        if self._clock() - self._loaded_at > TRUST_S:
            raise KeysUnavailable(f"no keys from {self._source}: {self._failure}")
        key = self._keys.find(kid)
        if key is None and self._loaded_at < asked_at:
            raise KeyNotLoaded(f"key {kid!r:.60} is not known yet from {self._source}")
        return key

    def _refresh(self) -> None:
        try:
            self.load()
        except UNUSABLE as error:
            # The known keys serve for a while: an outage there must not be one here.
            self._failure = str(error)
            logger.warning("no keys loaded from %s: %s", self._source, error)


def _reader(source: str) -> Callable[[], object]:
    if "://" not in source:
        return lambda: json.loads(Path(source).read_bytes())
    url = urlsplit(source)
    if url.scheme != "https" and (url.scheme != "http" or url.hostname not in _LOOPBACK):
        raise ValueError(f"keys without TLS could be anybody's: {source} must be https://")
    return jwt.PyJWKClient(source, cache_jwk_set=False, timeout=TIMEOUT_S).fetch_data


def _signature_key(entry: Any) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    name = entry.get("alg")
    if not isinstance(entry.get("kid"), str | None) or name not in [None, "Ed25519", *_KINDS]:
        return None
    try:
        # RFC 9864 names the curve; tokens and PyJWT know it as EdDSA.
        key = jwt.PyJWK(entry, "EdDSA" if name == "Ed25519" else name)
        key.Algorithm.prepare_key(key.key)  # refuses any curve but the algorithm's
    except jwt.PyJWTError:
        return None
    is_ours = isinstance(key.key, _KINDS.get(key.algorithm_name, ()))
    # PyJWT has a message for RSA below 2,048 bits.
    return key if is_ours and key.Algorithm.check_key_length(key.key) is None else None
