"""The file of the keys of approval tokens, which `RUNFOLD_APPROVAL_KEY` names.

It holds, in PEM, one `PRIVATE KEY`, which signs, and any number of `PUBLIC KEY`s, which are
published beside it. Keys are rotated without a moment in which a good token is refused:

1. append the public half of the new key to the file, everywhere the API runs, and wait until
   consumers have fetched it (`REFRESH_S` of `JwksUrl`, 5 minutes);
2. replace the private key by the new one and append the public half of the old one;
3. when the last token the old key signed has expired, take its public half out.

The file is read once, when the API starts. A key that has leaked is replaced at once and its public
half not kept: what it signed is refused as soon as consumers fetch the keys again.
"""

import os
import re
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from contracts.approvals.signing import SigningKeys
from contracts.errors import SettingError

MAX_FILE_BYTES: Final = 65_536
VARIABLE: Final = "RUNFOLD_APPROVAL_KEY"

_PRIVATE: Final = b"PRIVATE KEY"
_PUBLIC: Final = b"PUBLIC KEY"
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_MAKE_ONE: Final = "make one with: openssl genpkey -algorithm ed25519 -out FILE"


def load_signing_keys(path: Path) -> SigningKeys:
    """Return the keys of the file that `RUNFOLD_APPROVAL_KEY` names.

    Raises `SettingError`, whose one line never shows what the file holds: when it cannot be read;
    when others than its owner and group may read it, or others than its owner write it; when it
    does not hold exactly one private key, or any key that is encrypted or not Ed25519.
    """
    blocks = [(match[1], match[0]) for match in _BLOCK.finditer(_read(path))]
    private = [_private_key(path, pem) for label, pem in blocks if label == _PRIVATE]
    public = [_public_key(path, pem) for label, pem in blocks if label == _PUBLIC]
    for label, _ in blocks:
        if label not in {_PRIVATE, _PUBLIC}:
            raise _fault(path, f"has a block {label.decode()}, {_reason(label)}")
    if len(private) != 1:
        found = "no private key" if not private else f"{len(private)} private keys"
        raise _fault(path, f"has {found}, and must have one that signs; {_MAKE_ONE}")
    return SigningKeys(private[0], tuple(public))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _fault(path, f"cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        # Whoever can read the key can approve anything in anybody's name.
        raise _fault(path, f"is open to other users (mode {mode:04o}): chmod 600 {path}")
    if len(content) > MAX_FILE_BYTES:
        raise _fault(path, f"has more than {MAX_FILE_BYTES} bytes: it is no file of keys")
    return content


def _private_key(path: Path, pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _fault(path, f"has a private key that cannot be read; {_MAKE_ONE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _fault(path, f"has a private key that is not Ed25519; {_MAKE_ONE}")
    return key


def _public_key(path: Path, pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise _fault(path, "has a public key that cannot be read") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _fault(path, "has a public key that is not Ed25519")
    return key


def _reason(label: bytes) -> str:
    if label.startswith(b"ENCRYPTED"):
        return "and nobody is there to ask for its passphrase: store the key without one"
    return f"which is no key in PKCS #8; {_MAKE_ONE}"


def _fault(path: Path, what: str) -> SettingError:
    return SettingError(f"{VARIABLE}: {path} {what}")
