"""The public half of the key that approval tokens are signed with."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from contracts.errors import SettingError


def load(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 key in a PEM file. Raises `SettingError` when there is none in it."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SettingError(f"RUNFOLD_APPROVAL_KEY: {path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingError(
            f"RUNFOLD_APPROVAL_KEY: {path} holds no unencrypted Ed25519 key; make one with"
            " `openssl genpkey -algorithm ed25519`"
        )
    return key


def public_jwk(key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the key's public half as a JWK (RFC 8037); `kid` is its thumbprint (RFC 7638)."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    required = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    thumbprint = hashlib.sha256(orjson.dumps(required, option=orjson.OPT_SORT_KEYS)).digest()
    return required | {"kid": _base64url(thumbprint), "use": "sig", "alg": "EdDSA"}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
