"""The keys of the service that issues approval tokens, and the file they are read from.

The file that `RUNFOLD_APPROVAL_KEY` names holds, in PEM, one `PRIVATE KEY`, which signs, and any
number of `PUBLIC KEY`s, which are published with it. To rotate keys without refusing a good token:

1. append the public half of the new key to the file, everywhere the API runs, and wait until
   consumers have fetched it (5 minutes, `contracts.jwks.REFRESH_S`);
2. replace the private key by the new one and append the public half of the old one;
3. when the last token the old key signed has expired, take its public half out.

The file is read once, when the API starts. A key that has leaked is replaced at once and its public
half not kept: what it signed is refused as soon as consumers fetch the keys again.
"""

import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_encode

from contracts.errors import OperationError, SettingError
from contracts.tokens import ALGORITHM, HEADER_TYPE, MAX_TOKEN_LENGTH, Approval

MAX_FILE_BYTES: Final = 65_536
"""No more of the file is read."""

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_MAKE_ONE: Final = "make one with: openssl genpkey -algorithm ed25519 -out FILE"


class TokenTooLong(OperationError):
    """What was decided on does not fit into a token."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs, and the keys that are published with it."""

    private: Ed25519PrivateKey = field(repr=False)
    others: tuple[Ed25519PublicKey, ...] = ()
    kid: str = field(init=False)
    """Thumbprint (RFC 7638) of the key that signs."""

    def __post_init__(self) -> None:
        """Make the thumbprint, once for all tokens."""
        object.__setattr__(self, "kid", jwk(self.private.public_key())["kid"])

    def jwks(self) -> dict[str, Any]:
        """Return the JWKS document of all keys, each once, the one that signs first."""
        keys = [jwk(key) for key in (self.private.public_key(), *self.others)]
        return {"keys": list({key["kid"]: key for key in keys}.values())}

    def sign(self, approval: Approval) -> str:
        """Return the JWT that proves the approval. Raises `TokenTooLong` above 8,192 characters."""
        claims = approval.model_dump(exclude_unset=True)
        headers = {"typ": HEADER_TYPE, "kid": self.kid}
        token = jwt.encode(claims, self.private, ALGORITHM, headers)
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenTooLong(
                f"the approval of run {approval.run_id} needs a token of {len(token)} characters,"
                f" more than {MAX_TOKEN_LENGTH}: the names of tool and approver are too long"
            )
        return token


def jwk(key: Ed25519PublicKey) -> dict[str, Any]:
    """Return the key as a JWK (RFC 8037) whose `kid` is its thumbprint."""
    members = OKPAlgorithm.to_jwk(key, as_dict=True)
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    kid = base64url_encode(hashlib.sha256(canonical).digest()).decode()
    return {**members, "kid": kid, "use": "sig", "alg": ALGORITHM}


def load_signing_keys(path: Path) -> SigningKeys:
    """Return the keys of the file that `RUNFOLD_APPROVAL_KEY` names.

    Raises `SettingError`, whose one line never shows what the file holds: when it cannot be read,
    when others than its owner and group may read it, or others than its owner write it, when it
    does not hold exactly one private key, or any key that is encrypted or not Ed25519.
    """
    keys = [_key(path, block[1], block[0]) for block in _BLOCK.finditer(_content(path))]
    private = [key for key in keys if isinstance(key, Ed25519PrivateKey)]
    if len(private) != 1:
        raise _fault(path, f"has {len(private) or 'no'} private keys, not one; {_MAKE_ONE}")
    return SigningKeys(private[0], tuple(key for key in keys if isinstance(key, Ed25519PublicKey)))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise _fault(path, f"cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        # Whoever can read the key can approve anything in anybody's name.
        raise _fault(path, f"is open to other users (mode {mode:04o}): chmod 600 {path}")
    return content


def _key(path: Path, label: bytes, pem: bytes) -> Ed25519PrivateKey | Ed25519PublicKey:
    try:
        if label == b"PUBLIC KEY":
            key: object = load_pem_public_key(pem)
        else:
            key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        what = f"has a block {label.decode()} that is not an Ed25519 key without a passphrase"
        raise _fault(path, f"{what}; {_MAKE_ONE}")
    return key


def _fault(path: Path, what: str) -> SettingError:
    return SettingError(f"RUNFOLD_APPROVAL_KEY: {path} {what}")
