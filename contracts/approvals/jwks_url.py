"""The published keys, fetched from their URL when they are needed."""

import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.approvals.errors import KeysUnavailable
from contracts.approvals.jwks import KeySet

REFRESH_S: Final = 300.0
"""A key that is published no more is trusted no longer than this while the URL answers."""
TRUST_S: Final = 3600.0
"""Keys are trusted no longer than this when the URL does not answer."""
RETRY_S: Final = 5.0
"""The URL is asked no more often than this, whatever keys tokens name."""
TIMEOUT_S: Final = 5.0

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class JwksUrl:
    """The keys at a URL: asked when the keys grow old or a token names one that is not known.

    `find` blocks while it fetches: call it from a thread, as `verify_async` does. Threads may
    share one. No redirect is followed.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember the URL; nothing is fetched yet. `timeout` is in seconds.

        Raises ValueError unless it is `https://`, or `http://` to this machine: keys fetched
        without TLS could be anybody's.
        """
        if not _is_protected(url):
            raise ValueError(f"keys are fetched from https:// only, not from {url}")
        self._url, self._clock = url, clock
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=timeout)
        self._lock = threading.Lock()
        self._keys = KeySet({"keys": []})
        self._tried_at = self._loaded_at = float("-inf")
        self._failure = ""

    def find(self, kid: str) -> Ed25519PublicKey | None:
        """Return the published key with this thumbprint, None when there is none.

        Raises `KeysUnavailable` when the URL does not answer, and for a key that is not known
        when it was asked too short a time ago: the key may have been published since.
        """
        asked_at = self._clock()
        if asked_at - self._loaded_at <= REFRESH_S and (known := self._keys.find(kid)) is not None:
            # not behind the lock: a fetch for a key that nobody knows holds up no other
            return known
        with self._lock:
            self._refresh_if_due(kid)
            if self._clock() - self._loaded_at > TRUST_S:
                raise KeysUnavailable(f"no keys from {self._url}: {self._failure}")
            key = self._keys.find(kid)
            if key is None and self._loaded_at < asked_at:
                raise KeysUnavailable(f"key {kid} is not known yet from {self._url}")
            return key

    def _refresh_if_due(self, kid: str) -> None:
        now = self._clock()
        is_due = self._keys.find(kid) is None or now - self._loaded_at > REFRESH_S
        if not is_due or now - self._tried_at < RETRY_S:
            return
        self._tried_at = now
        try:
            self._keys = KeySet(self._client.fetch_data())
        except (jwt.PyJWKClientError, OSError, ValueError, RecursionError) as error:
            # An outage there is none here: the keys that are known serve for a while.
            self._failure = str(error)
        else:
            self._loaded_at = now


def _is_protected(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
