"""The keys of approval tokens: read from a file that is only its owner's, rotated, published."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import jwt
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

from contracts.approvals import KeySet, SigningKeys, errors, load_signing_keys
from contracts.approvals.jwks import jwk, thumbprint
from contracts.errors import SettingError
from tests.approvals import CLAIMS, KEY, KEYS, OTHER_KEY, TOKEN, approval, forged, refusal, verified


def private_pem(
    key: Any, form: PrivateFormat = PrivateFormat.PKCS8, passphrase: bytes | None = None
) -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return pem


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


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
    key = Ed25519PublicKey.from_public_bytes(base64url_decode(x))
    assert thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert jwk(key)["x"] == x


def test_what_is_published_is_public() -> None:
    (published,) = KEYS.jwks()["keys"]
    assert set(published) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (published["kty"], published["crv"]) == ("OKP", "Ed25519")
    assert (published["use"], published["alg"]) == ("sig", "EdDSA")


def test_signing_keys_do_not_show_themselves() -> None:
    assert "private" not in repr(KEYS).lower()


# The file.


def test_a_key_made_with_openssl_signs(path: Path) -> None:
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    keys = load_signing_keys(path)
    assert verified(keys.sign(approval()), keys=keys.jwks()) == approval()


def test_other_public_keys_are_published_beside_the_one_that_signs(path: Path) -> None:
    older = [Ed25519PrivateKey.generate() for _ in range(2)]
    blocks = [public_pem(older[0]), b"retired in May\n", private_pem(KEY), public_pem(older[1])]
    keys = load_signing_keys(stored(path, *blocks))
    assert keys.kid == KEYS.kid
    assert kids(keys) == [KEYS.kid, *(thumbprint(each.public_key()) for each in older)]


def test_a_key_that_is_there_twice_is_published_once(path: Path) -> None:
    other = public_pem(OTHER_KEY)
    keys = load_signing_keys(stored(path, private_pem(KEY), public_pem(KEY), other, other))
    assert kids(keys) == [KEYS.kid, thumbprint(OTHER_KEY.public_key())]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o700])
def test_a_file_for_its_owner_and_group_is_read(path: Path, mode: int) -> None:
    assert load_signing_keys(stored(path, private_pem(KEY), mode=mode)).kid == KEYS.kid


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660, 0o666, 0o444])
def test_a_file_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    line = fault(stored(path, private_pem(KEY), mode=mode))
    assert f"mode {mode:04o}" in line
    assert "chmod 600" in line


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    assert "No such file" in fault(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "directory" in fault(tmp_path)


def test_a_file_that_never_ends_is_not_read_to_its_end(path: Path) -> None:
    assert "65536 bytes" in fault(stored(path, b"x" * 65_537))


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"hunter2", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_without_a_key_is_refused(path: Path, content: bytes) -> None:
    line = fault(stored(path, content))
    assert "no private key" in line
    assert "openssl genpkey -algorithm ed25519" in line
    assert "hunter2" not in line


def test_a_public_key_alone_does_not_sign(path: Path) -> None:
    assert "no private key" in fault(stored(path, public_pem(KEY)))


def test_two_private_keys_are_refused(path: Path) -> None:
    assert "2 private keys" in fault(stored(path, private_pem(KEY), private_pem(OTHER_KEY)))


@pytest.mark.parametrize(
    "key",
    [
        Ed448PrivateKey.generate(),
        X25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=lambda key: type(key).__name__,
)
def test_another_kind_of_key_is_refused(path: Path, key: Any) -> None:
    assert "private key that is not Ed25519" in fault(stored(path, private_pem(key)))
    assert "public key that is not Ed25519" in fault(
        stored(path, private_pem(KEY), public_pem(key))
    )


def test_an_encrypted_key_is_refused(path: Path) -> None:
    line = fault(stored(path, private_pem(KEY, passphrase=b"hunter2")))
    assert "ENCRYPTED PRIVATE KEY" in line
    assert "passphrase" in line


def test_a_key_in_another_form_is_named(path: Path) -> None:
    assert "OPENSSH PRIVATE KEY" in fault(stored(path, private_pem(KEY, PrivateFormat.OpenSSH)))
    rsa_pem = private_pem(rsa.generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL)
    assert "RSA PRIVATE KEY" in fault(stored(path, rsa_pem))


def test_a_broken_key_is_refused_and_not_shown(path: Path) -> None:
    secret = b"c2VjcmV0IGtleSBtYXRlcmlhbCE="
    blocks = [b"-----BEGIN PRIVATE KEY-----\n", secret, b"\n-----END PRIVATE KEY-----\n"]
    line = fault(stored(path, *blocks))
    assert "cannot be read" in line
    assert secret.decode() not in line
    public = [each.replace(b"PRIVATE", b"PUBLIC") for each in blocks]
    assert "public key that cannot be read" in fault(stored(path, private_pem(KEY), *public))


def der(key: Any) -> list[bytes]:
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return [private, public]


def pem(label: bytes, content: bytes, headers: bytes = b"") -> bytes:
    body = headers + base64.encodebytes(content)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, body, label)


def test_a_kind_of_key_that_nobody_knows_is_refused(path: Path) -> None:
    ed25519, unknown = b"\x2b\x65\x70", b"\x2b\x65\x7a"
    private, public = (each.replace(ed25519, unknown) for each in der(KEY))
    assert "cannot be read" in fault(stored(path, pem(b"PRIVATE KEY", private)))
    blocks = [private_pem(KEY), pem(b"PUBLIC KEY", public)]
    assert "cannot be read" in fault(stored(path, *blocks))


def test_a_key_encrypted_in_the_old_way_is_refused(path: Path) -> None:
    headers = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,%b\n\n" % (b"0" * 32)
    assert "cannot be read" in fault(stored(path, pem(b"PRIVATE KEY", der(KEY)[0], headers)))


def test_no_fault_shows_the_key(path: Path) -> None:
    body = private_pem(KEY).splitlines()[1].decode()
    for extra in (private_pem(OTHER_KEY), b"-----BEGIN X-----\n-----END X-----\n"):
        assert body not in fault(stored(path, private_pem(KEY), extra))


# Rotation.


def test_tokens_of_every_moment_of_a_rotation_are_good() -> None:
    announced = SigningKeys(KEY, (OTHER_KEY.public_key(),))
    rotated = SigningKeys(OTHER_KEY, (KEY.public_key(),))
    for signer in (KEYS, announced, rotated):
        for published in (announced, rotated):
            assert verified(signer.sign(approval()), keys=published.jwks()) == approval()


def test_a_key_that_is_published_no_more_is_unknown() -> None:
    after = SigningKeys(OTHER_KEY).jwks()
    assert type(refusal(TOKEN, keys=after)) is errors.UnknownKey
    assert verified(SigningKeys(OTHER_KEY).sign(approval()), keys=after) == approval()


# Reading a JWKS.


def test_a_key_is_found_by_its_thumbprint_whatever_it_is_called() -> None:
    theirs = {**jwk(OTHER_KEY.public_key()), "kid": KEYS.kid}
    document = {"keys": [theirs, jwk(KEY.public_key()), theirs]}
    assert verified(TOKEN, keys=document) == approval()
    assert type(refusal(forged(CLAIMS, OTHER_KEY), keys=document)) is errors.BadSignature
    nameless = {name: value for name, value in jwk(KEY.public_key()).items() if name != "kid"}
    assert verified(TOKEN, keys={"keys": [nameless]}) == approval()


def with_private_half() -> dict[str, Any]:
    return jwt.algorithms.OKPAlgorithm.to_jwk(KEY, as_dict=True)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        [],
        {},
        {**jwk(KEY.public_key()), "use": "enc"},
        {**jwk(KEY.public_key()), "alg": "HS256"},
        {**jwk(KEY.public_key()), "alg": "none"},
        {**jwk(KEY.public_key()), "kty": "oct", "k": jwk(KEY.public_key())["x"]},
        {**jwk(KEY.public_key()), "kty": "EC"},
        {**jwk(KEY.public_key()), "crv": "X25519"},
        {**jwk(KEY.public_key()), "x": 7},
        {**jwk(KEY.public_key()), "x": ""},
        {**jwk(KEY.public_key()), "x": "AAAA"},
        {name: value for name, value in jwk(KEY.public_key()).items() if name != "x"},
        with_private_half(),
        {"kty": "oct", "k": "c2VjcmV0", "kid": KEYS.kid},
    ],
    ids=str,
)
def test_an_entry_that_is_no_public_signature_key_is_left_out(entry: Any) -> None:
    assert KeySet({"keys": [entry]}).find(KEYS.kid) is None
    assert KeySet({"keys": [entry, jwk(KEY.public_key())]}).find(KEYS.kid) == KEY.public_key()


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {"kid": "a"}}, {"keys": "a"}])
def test_what_is_no_jwks_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        KeySet(document)


def test_a_jwks_survives_its_json() -> None:
    assert KeySet(json.loads(json.dumps(KEYS.jwks()))).find(KEYS.kid) == KEY.public_key()
