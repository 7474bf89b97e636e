"""Where a consumer finds the public keys that approval tokens are signed with."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_encode

from contracts.approvals.approval import ALGORITHM


class KeySource(Protocol):
    """Finds published keys."""

    def find(self, kid: str) -> Ed25519PublicKey | None:
        """Return the published key with this thumbprint, None when there is none.

        Raises `KeysUnavailable` when that cannot be told now.
        """


class KeySet:
    """The keys of a JWKS document, by their thumbprints.

    What the document calls a key counts for nothing: no name can pass one key off as another.
    Entries that are no public Ed25519 signature key are left out.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read the document. Raises ValueError when it is no JWKS."""
        match document:
            case {"keys": list() as entries}:
                found = [_public_key(entry) for entry in entries]
            case _:
                raise ValueError('a JWKS has a list "keys"')
        self._keys = {thumbprint(key): key for key in found if key is not None}

    def find(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key with this thumbprint, None when there is none."""
        return self._keys.get(kid)


def jwk(key: Ed25519PublicKey) -> dict[str, Any]:
    """Return the key as a JWK (RFC 8037) whose `kid` is its thumbprint."""
    return {**_members(key), "kid": thumbprint(key), "use": "sig", "alg": ALGORITHM}


def thumbprint(key: Ed25519PublicKey) -> str:
    """Return the key's SHA-256 thumbprint (RFC 7638) in base64url: 43 characters."""
    canonical = json.dumps(_members(key), sort_keys=True, separators=(",", ":"))
    return base64url_encode(hashlib.sha256(canonical.encode()).digest()).decode()


def _members(key: Ed25519PublicKey) -> dict[str, Any]:
    return OKPAlgorithm.to_jwk(key, as_dict=True)


_REQUIRED: Final = {"use": "sig", "alg": ALGORITHM}


def _public_key(entry: object) -> Ed25519PublicKey | None:
    if not isinstance(entry, dict):
        return None
    if any(entry.get(member, value) != value for member, value in _REQUIRED.items()):
        return None
    try:
        key = jwt.PyJWK(entry, ALGORITHM).key
    except jwt.PyJWTError:
        # A key of a kind that cannot have signed an approval: no token finds it.
        return None
    # A private key that has been published proves nothing, and Ed448 is EdDSA too.
    return key if isinstance(key, Ed25519PublicKey) else None
