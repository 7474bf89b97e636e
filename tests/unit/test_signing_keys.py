"""The keys of approval tokens: read from a file that is only its owner's, and published."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.utils import base64url_decode

from contracts.errors import SettingError
from contracts.jwks import KeySet
from contracts.signing_keys import MAX_FILE_BYTES, SigningKeys, jwk, load_signing_keys
from tests.approvals import KEY, KEYS, OTHER, OTHER_KEY, approval, verified


def private_pem(
    key: Any, form: PrivateFormat = PrivateFormat.PKCS8, passphrase: bytes | None = None
) -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return pem


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def block(label: bytes, content: bytes, headers: bytes = b"") -> bytes:
    body = headers + base64.encodebytes(content)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, body, label)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "approval-key.pem"


def stored(path: Path, *blocks: bytes, mode: int = 0o600) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(b"".join(blocks))
    path.chmod(mode)
    return path


def fault(path: Path) -> str:
    with pytest.raises(SettingError) as raised:
        load_signing_keys(path)
    line = str(raised.value)
    assert line.startswith(f"RUNFOLD_APPROVAL_KEY: {path} ")
    assert line.isprintable()
    assert raised.value.exit_status == 2
    return line


def kids(keys: SigningKeys) -> list[str]:
    return [key["kid"] for key in keys.jwks()["keys"]]


def test_the_thumbprint_is_that_of_the_standard() -> None:
    # The key of RFC 8037, appendix A.2, and its thumbprint from A.3.
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    published = jwk(Ed25519PublicKey.from_public_bytes(base64url_decode(x)))
    assert published["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert published["x"] == x


def test_what_is_published_is_public() -> None:
    (published,) = KEYS.jwks()["keys"]
    assert set(published) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (published["kty"], published["crv"]) == ("OKP", "Ed25519")
    assert (published["use"], published["alg"]) == ("sig", "EdDSA")
    assert "private" not in repr(KEYS).lower()


def test_a_key_made_with_openssl_signs(path: Path) -> None:
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    keys = load_signing_keys(path)
    assert verified(keys.sign(approval()), keys=KeySet(keys.jwks())) == approval()


def test_other_public_keys_are_published_with_the_one_that_signs(path: Path) -> None:
    older = [Ed25519PrivateKey.generate() for _ in range(2)]
    blocks = [public_pem(older[0]), b"retired in May\n", private_pem(KEY), public_pem(older[1])]
    keys = load_signing_keys(stored(path, *blocks))
    assert keys.kid == KEYS.kid
    assert kids(keys) == [KEYS.kid, *(SigningKeys(each).kid for each in older)]


def test_a_key_that_is_there_twice_is_published_once(path: Path) -> None:
    other = public_pem(OTHER_KEY)
    keys = load_signing_keys(stored(path, private_pem(KEY), public_pem(KEY), other, other))
    assert kids(keys) == [KEYS.kid, OTHER.kid]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o700])
def test_a_file_for_its_owner_and_group_is_read(path: Path, mode: int) -> None:
    assert load_signing_keys(stored(path, private_pem(KEY), mode=mode)).kid == KEYS.kid


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660, 0o666, 0o444])
def test_a_file_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    line = fault(stored(path, private_pem(KEY), mode=mode))
    assert f"mode {mode:04o}" in line
    assert "chmod 600" in line


def test_a_file_that_cannot_be_read_is_refused(path: Path, tmp_path: Path) -> None:
    assert "No such file" in fault(path)
    assert "directory" in fault(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\0\xff", b"hunter2", b"-----BEGIN PRIVATE KEY-----\n", public_pem(KEY)),
        b"x" * MAX_FILE_BYTES + private_pem(KEY),  # a file may never end
    ],
    ids=lambda content: repr(content)[:30],
)
def test_a_file_without_a_private_key_is_refused(path: Path, content: bytes) -> None:
    line = fault(stored(path, content))
    assert "no private key" in line
    assert "openssl genpkey -algorithm ed25519" in line
    assert "hunter2" not in line


def test_two_private_keys_are_refused(path: Path) -> None:
    line = fault(stored(path, private_pem(KEY), private_pem(OTHER_KEY)))
    assert "2 private keys" in line
    assert private_pem(KEY).splitlines()[1].decode() not in line


def unknown(content: bytes) -> bytes:
    """A key of a kind that nobody knows."""
    return content.replace(b"\x2b\x65\x70", b"\x2b\x65\x7a")


PRIVATE_DER = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
PUBLIC_DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
RSA_KEY = rsa.generate_private_key(65_537, 2048)
OLD_CIPHER = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,%b\n\n" % (b"0" * 32)
OTHER_KINDS = [
    *(Ed448PrivateKey.generate(), X25519PrivateKey.generate(), RSA_KEY),
    ec.generate_private_key(ec.SECP256R1()),
]
NOT_KEYS = [
    *((b"PRIVATE KEY", private_pem(key)) for key in OTHER_KINDS),
    *((b"PUBLIC KEY", public_pem(key)) for key in OTHER_KINDS),
    (b"ENCRYPTED PRIVATE KEY", private_pem(KEY, passphrase=b"hunter2")),
    (b"OPENSSH PRIVATE KEY", private_pem(KEY, PrivateFormat.OpenSSH)),
    (b"RSA PRIVATE KEY", private_pem(RSA_KEY, PrivateFormat.TraditionalOpenSSL)),
    (b"PRIVATE KEY", block(b"PRIVATE KEY", PRIVATE_DER, OLD_CIPHER)),
    (b"PRIVATE KEY", block(b"PRIVATE KEY", b"secret key material!")),
    (b"PUBLIC KEY", block(b"PUBLIC KEY", b"secret key material!")),
    (b"PRIVATE KEY", block(b"PRIVATE KEY", unknown(PRIVATE_DER))),
    (b"PUBLIC KEY", block(b"PUBLIC KEY", unknown(PUBLIC_DER))),
    (b"X", block(b"X", b"")),
]


@pytest.mark.parametrize(("label", "pem"), NOT_KEYS, ids=range(len(NOT_KEYS)))
def test_a_block_that_is_no_plain_ed25519_key_is_named_and_not_shown(
    path: Path, label: bytes, pem: bytes
) -> None:
    for blocks in ([pem], [private_pem(KEY), pem]):
        line = fault(stored(path, *blocks))
        assert f"a block {label.decode()} that is not an Ed25519 key without a passphrase" in line
        for shown in filter(None, pem.splitlines()[1:-1]):
            assert shown.decode() not in line
        assert private_pem(KEY).splitlines()[1].decode() not in line
