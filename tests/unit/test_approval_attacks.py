"""What an attacker without the private key may send: each attempt is refused by its own error."""

import hashlib
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_decode, base64url_encode

from contracts.approvals import SigningKeys, errors
from contracts.approvals.jwks import thumbprint
from tests.approvals import CLAIMS, KEY, KEYS, OTHER_KEY, TOKEN, approval, forged, refusal, verified

# The order of the group that Ed25519 signs in (RFC 8032, section 5.1).
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def public_pem() -> bytes:
    return KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_raw() -> bytes:
    return KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Unread:
    """Keys that must not be asked for."""

    def find(self, kid: str) -> None:
        raise AssertionError(f"key {kid} was looked up")


def headed(signature: str = TOKEN.rsplit(".", 1)[1], **header: Any) -> str:
    """A token with a header that PyJWT itself would not make, and with any signature."""
    named = {"kid": KEYS.kid, "typ": "approval+jwt", **header}
    parts = [base64url_encode(json.dumps(each).encode()).decode() for each in (named, CLAIMS)]
    return ".".join([*parts, signature])


def hmac_signed(secret: bytes, algorithm: str) -> str:
    """A token whose HMAC has a public key for its secret."""
    message = headed("", alg=algorithm)[:-1]
    signature = jwt.get_algorithm_by_name(algorithm).sign(message.encode(), secret)
    return f"{message}.{base64url_encode(signature).decode()}"


@pytest.mark.parametrize("secret", [public_pem(), public_raw(), b""])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(
    secret: bytes, algorithm: str
) -> None:
    refused = refusal(hmac_signed(secret, algorithm), keys=Unread())
    assert type(refused) is errors.WrongAlgorithm
    assert algorithm in str(refused)


@pytest.mark.parametrize("name", ["none", "None", "nOnE", "NONE", "", "eddsa", "Ed25519", None, 1])
@pytest.mark.parametrize("signature", ["", TOKEN.rsplit(".", 1)[1]])
def test_a_token_of_another_algorithm_is_refused_before_any_key_is_touched(
    name: Any, signature: str
) -> None:
    token = headed(signature, alg=name)
    assert type(refusal(token, keys=Unread())) is errors.WrongAlgorithm
    assert type(refusal(headed(signature), keys=Unread())) is errors.WrongAlgorithm


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (rsa.generate_private_key(65537, 2048), "PS256"),
    ],
)
def test_another_kind_of_key_is_refused(key: Any, algorithm: str) -> None:
    refused = refusal(forged(CLAIMS, key, algorithm), keys=Unread())
    assert type(refused) is errors.WrongAlgorithm


def test_the_other_curve_of_eddsa_is_refused_even_when_its_key_is_published() -> None:
    key = Ed448PrivateKey.generate()
    entry = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    members = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    kid = base64url_encode(hashlib.sha256(members).digest()).decode()
    published = {"keys": [*KEYS.jwks()["keys"], {**entry, "kid": kid}]}
    token = forged(CLAIMS, key, kid=kid)
    assert type(refusal(token, keys=published)) is errors.UnknownKey
    assert type(refusal(forged(CLAIMS, key), keys=published)) is errors.BadSignature


def test_a_token_by_somebody_else_is_refused_whatever_key_it_names() -> None:
    stranger = thumbprint(OTHER_KEY.public_key())
    assert type(refusal(forged(CLAIMS, OTHER_KEY))) is errors.BadSignature
    assert type(refusal(forged(CLAIMS, OTHER_KEY, kid=stranger))) is errors.UnknownKey
    embedded = jwt.algorithms.OKPAlgorithm.to_jwk(OTHER_KEY.public_key(), as_dict=True)
    assert type(refusal(forged(CLAIMS, OTHER_KEY, jwk=embedded))) is errors.BadSignature


def test_a_published_key_does_not_verify_what_names_another_published_key() -> None:
    both = SigningKeys(KEY, (OTHER_KEY.public_key(),)).jwks()
    other = thumbprint(OTHER_KEY.public_key())
    assert verified(forged(CLAIMS, OTHER_KEY, kid=other), keys=both) == approval()
    assert type(refusal(forged(CLAIMS, KEY, kid=other), keys=both)) is errors.BadSignature
    assert type(refusal(forged(CLAIMS, OTHER_KEY), keys=both)) is errors.BadSignature


@pytest.mark.parametrize(
    "kid", [None, "", "1", "../../etc/passwd", "k" * 43, "K" * 5000, "鍵" * 43]
)
def test_a_key_that_is_not_published_is_unknown(kid: str | None) -> None:
    assert type(refusal(forged(CLAIMS, kid=kid))) is errors.UnknownKey


@pytest.mark.parametrize("kid", ["", "../../etc/passwd", "k" * 44, "鍵" * 43, "k" * 42 + "\n"])
def test_what_is_no_thumbprint_is_not_looked_up(kid: str) -> None:
    assert type(refusal(forged(CLAIMS, kid=kid), keys=Unread())) is errors.UnknownKey


@pytest.mark.parametrize("kid", [1, ["a"], {"a": 1}, True])
def test_a_key_is_named_by_a_text(kid: Any) -> None:
    assert type(refusal(headed(alg="EdDSA", kid=kid), keys=Unread())) is errors.Malformed


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "", "application/approval+jwt", None])
def test_a_token_made_for_something_else_is_refused(kind: str | None) -> None:
    # An empty type stands for none at all.
    assert type(refusal(forged(CLAIMS, typ=kind or ""), keys=Unread())) is errors.WrongType


@pytest.mark.parametrize("crit", [["exp"], ["jku"], ["x\n\x1b[31m"], [], "exp", [1]])
def test_an_extension_that_is_not_understood_is_refused(crit: Any) -> None:
    assert type(refusal(forged(CLAIMS, crit=crit, jku="https://evil.example"))) is errors.Malformed


def test_a_detached_payload_is_refused() -> None:
    token = forged(CLAIMS, b64=False)
    assert ".." in token
    assert type(refusal(token)) is errors.Malformed
    _, payload, signature = TOKEN.split(".")
    head = token.split(".", maxsplit=1)[0]
    assert type(refusal(f"{head}.{payload}.{signature}")) is errors.Malformed


def test_a_signature_has_one_form() -> None:
    message, signature = TOKEN.rsplit(".", 1)
    raw = base64url_decode(signature)
    shifted = int.from_bytes(raw[32:], "little") + GROUP_ORDER
    again = raw[:32] + shifted.to_bytes(32, "little")
    assert type(refusal(f"{message}.{base64url_encode(again).decode()}")) is errors.BadSignature


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 114])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    message = TOKEN.rsplit(".", 1)[0]
    signature = base64url_encode(b"\0" * length).decode()
    assert type(refusal(f"{message}.{signature}")) is errors.BadSignature


@pytest.mark.parametrize(
    "token",
    [
        *("x", "a.b", "a.b.c", "..", "e30.e30", "W10.e30.AA", "bnVsbA.e30.AA", "ｅｙＪ.ｅｙＪ.ｘ"),
        *(f"{TOKEN}.", f".{TOKEN}", f"{TOKEN}=", f"{TOKEN}==", f"{TOKEN}\n", f" {TOKEN}"),
        *(f"Bearer {TOKEN}", TOKEN.replace(".", ".=", 1), TOKEN + "é", TOKEN + "\0"),
        *(TOKEN + "\ud800", TOKEN * 1000, "." * 10_000_000, "e" * 8190 + ".e30.e30"),
        base64url_encode(b"[" * 6000).decode() + ".e30.AA",
        base64url_encode(b'{"alg":' * 1000).decode() + ".e30.AA",
        base64url_encode(b'{"a":' + b"9" * 5000 + b"}").decode() + ".e30.AA",
    ],
    ids=lambda token: repr(token)[:20],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert type(refusal(token, keys=Unread())) is errors.Malformed


def test_a_signed_token_of_many_characters_is_refused() -> None:
    longest = 8192
    spare = longest - len(forged({**CLAIMS, "pad": ""}))
    fits = forged({**CLAIMS, "pad": "p" * (spare * 3 // 4)})
    assert longest - 4 <= len(fits) <= longest
    assert verified(fits) == approval()
    assert type(refusal(forged({**CLAIMS, "pad": "p" * spare}))) is errors.Malformed
