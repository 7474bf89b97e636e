"""What somebody without the private key may send, and what no issuer should have signed."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_decode, base64url_encode

from contracts.jwks import KeySet
from contracts.signing_keys import SigningKeys, jwk
from contracts.tokens import Reason
from tests.approvals import (
    CLAIMS,
    EXPECTED,
    KEY,
    KEYS,
    OTHER,
    OTHER_KEY,
    PUBLISHED,
    RUN_ID,
    TOKEN,
    approval,
    forged,
    refusal,
    verified,
)

# The order of the group that Ed25519 signs in (RFC 8032, section 5.1).
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
MESSAGE, SIGNATURE = TOKEN.rsplit(".", 1)
RSA_KEY = rsa.generate_private_key(65_537, 2048)
RSA_JWK = {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa"}
EVERY_KEY = KeySet({"keys": [*KEYS.jwks()["keys"], *OTHER.jwks()["keys"], RSA_JWK]})


class Unread:
    """Keys that must not be asked for."""

    def find(self, kid: str | None) -> None:
        raise AssertionError(f"key {kid} was looked up")


def encoded(part: bytes) -> str:
    return base64url_encode(part).decode()


def headed(signature: str = SIGNATURE, **header: Any) -> str:
    """A token with a header that PyJWT itself would not make, and with any signature."""
    named = {"kid": KEYS.kid, "typ": "approval+jwt", **header}
    return ".".join([*(encoded(json.dumps(each).encode()) for each in (named, CLAIMS)), signature])


def hmac_signed(secret: bytes, algorithm: str) -> str:
    """A token whose HMAC has a public key for its secret."""
    message = headed("", alg=algorithm)[:-1]
    signature = jwt.get_algorithm_by_name(algorithm).sign(message.encode(), secret)
    return f"{message}.{encoded(signature)}"


def of_other_algorithms() -> Iterator[str]:
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    for algorithm in ("HS256", "HS384", "HS512"):
        yield from (hmac_signed(secret, algorithm) for secret in (pem, raw, b""))
    for name in ("none", "None", "nOnE", "NONE", "", "eddsa", "Ed25519", None, 1, ["EdDSA"]):
        yield from (headed(signature, alg=name) for signature in ("", SIGNATURE))
    yield from (headed(""), headed())  # without any
    yield forged(CLAIMS, ec.generate_private_key(ec.SECP256R1()), "ES256")
    yield forged(CLAIMS, ec.generate_private_key(ec.SECP521R1()), "ES512")
    for kid in (KEYS.kid, "rsa"):  # the last is published, for tokens of another kind
        yield from (forged(CLAIMS, RSA_KEY, name, kid=kid) for name in ("RS256", "PS256"))


def by_somebody_else() -> Iterator[str]:
    yield forged(CLAIMS, OTHER_KEY)
    yield forged(CLAIMS, KEY, kid=OTHER.kid)
    yield forged(CLAIMS, OTHER_KEY, jwk=OKPAlgorithm.to_jwk(OTHER_KEY.public_key(), as_dict=True))
    yield forged(CLAIMS, Ed448PrivateKey.generate())
    # The same signature in another form: a multiple of the group's order more.
    raw = base64url_decode(SIGNATURE)
    shifted = (int.from_bytes(raw[32:], "little") + GROUP_ORDER).to_bytes(32, "little")
    yield f"{MESSAGE}.{encoded(raw[:32] + shifted)}"
    for length in (0, 1, 32, 63, 65, 114):
        yield f"{MESSAGE}.{encoded(bytes(length))}"


ODD_KIDS = [None, "", "1", "../../etc/passwd", "k" * 43, "k" * 44, "K" * 5000, "鍵" * 43, "k\n"]


def not_tokens() -> Iterator[Any]:
    yield from (None, "", b"x.y.z", "x", "a.b", "a.b.c", "..", "e30.e30", "W10.e30.AA")
    yield from ("bnVsbA.e30.AA", "ｅｙＪ.ｅｙＪ.ｘ", TOKEN.encode())
    yield from (f"{TOKEN}.", f".{TOKEN}", f"{TOKEN}=", f"{TOKEN}==", f"{TOKEN}\n", f" {TOKEN}")
    yield from (f"Bearer {TOKEN}", TOKEN.replace(".", ".=", 1), TOKEN + "é", TOKEN + "\0")
    yield from (TOKEN + "\ud800", TOKEN * 1000, "." * 10_000_000, "e" * 8190 + ".e30.e30")
    for header in (b"[" * 6000, b'{"alg":' * 1000, b'{"a":' + b"9" * 5000 + b"}"):
        yield f"{encoded(header)}.e30.AA"
    yield from (headed(alg="EdDSA", kid=kid) for kid in (1, ["a"], {"a": 1}, True))
    for crit in (["exp"], ["jku"], ["x\n\x1b[31m"], [], "exp", [1]):
        yield forged(CLAIMS, crit=crit, jku="https://evil.example")
    detached = forged(CLAIMS, b64=False)
    yield detached
    yield detached.replace("..", f".{TOKEN.split('.')[1]}.")


def of_another_type() -> Iterator[str]:
    # An empty type stands for none at all.
    kinds = ("JWT", "at+jwt", "", "application/approval+jwt", "Approval+JWT")
    yield from (forged(CLAIMS, typ=kind) for kind in kinds)


REFUSED = {
    Reason.WRONG_ALGORITHM: (of_other_algorithms, EVERY_KEY),
    Reason.BAD_SIGNATURE: (by_somebody_else, EVERY_KEY),
    Reason.UNKNOWN_KEY: (lambda: (forged(CLAIMS, kid=kid) for kid in ODD_KIDS), PUBLISHED),
    # Nobody looks for a key before the token is found to be one.
    Reason.MALFORMED: (not_tokens, Unread()),
    Reason.WRONG_TYPE: (of_another_type, Unread()),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_the_issuer_has_not_signed_is_refused(reason: Reason) -> None:
    attacks, keys = REFUSED[reason]
    for token in attacks():
        refusal(token, reason, keys=keys)


def test_a_key_must_be_published_and_ed25519() -> None:
    refusal(forged(CLAIMS, OTHER_KEY, kid=OTHER.kid), Reason.UNKNOWN_KEY)
    key = Ed448PrivateKey.generate()
    entry = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    kid = encoded(hashlib.sha256(canonical).digest())
    published = KeySet({"keys": [*KEYS.jwks()["keys"], {**entry, "kid": kid, "alg": "EdDSA"}]})
    refusal(forged(CLAIMS, key, kid=kid), Reason.UNKNOWN_KEY, keys=published)
    assert verified(forged(CLAIMS, OTHER_KEY, kid=OTHER.kid), keys=EVERY_KEY) == approval()


def test_a_key_that_is_called_like_another_passes_for_neither() -> None:
    theirs = {**jwk(OTHER_KEY.public_key()), "kid": KEYS.kid}
    both = KeySet({"keys": [theirs, jwk(KEY.public_key())]})
    for key in (KEY, OTHER_KEY):
        refusal(forged(CLAIMS, key), Reason.UNKNOWN_KEY, keys=both)


def test_tokens_of_every_moment_of_a_rotation_are_good() -> None:
    announced = SigningKeys(KEY, (OTHER_KEY.public_key(),))
    rotated = SigningKeys(OTHER_KEY, (KEY.public_key(),))
    for signer in (KEYS, announced, rotated):
        for published in (announced, rotated):
            keys = KeySet(published.jwks())
            assert verified(signer.sign(approval()), keys=keys) == approval()
    refusal(TOKEN, Reason.UNKNOWN_KEY, keys=KeySet(OTHER.jwks()))


def test_a_signed_token_of_many_characters_is_refused() -> None:
    spare = 8192 - len(forged({**CLAIMS, "pad": ""}))
    fits = forged({**CLAIMS, "pad": "p" * (spare * 3 // 4)})
    assert 8192 - 4 <= len(fits) <= 8192
    assert verified(fits) == approval()
    refusal(forged({**CLAIMS, "pad": "p" * spare}), Reason.MALFORMED, keys=Unread())


# Tokens with a good signature and claims that no issuer should have made.

WRONG_CLAIMS: list[tuple[str, list[Any], Reason]] = [
    ("run_version", [7.0, True, "7", None, 2**63, [7]], Reason.MALFORMED),
    ("aud", [["engine"], ["engine", "mailer"], {"engine": 1}, 1], Reason.WRONG_AUDIENCE),
    ("aud", [None, "", []], Reason.MALFORMED),
    ("iss", [["runfold"], 1, ""], Reason.WRONG_ISSUER),
    ("iss", [None], Reason.MALFORMED),
    ("sub", ["", None, 1, "s" * 201], Reason.MALFORMED),
    ("jti", ["", 1, None, "j" * 201], Reason.MALFORMED),
    ("iat", [float(CLAIMS["iat"]), str(CLAIMS["iat"]), True, "2026-05-18", -1], Reason.MALFORMED),
    ("exp", [float(CLAIMS["exp"]), str(CLAIMS["exp"]), None, "tomorrow"], Reason.MALFORMED),
    ("exp", [10**12, 253_402_300_799, 10**400, 1e400, float("nan")], Reason.MALFORMED),
    ("exp", [-1, True, "7"], Reason.EXPIRED),
    ("nbf", ["0", 0.5, "soon"], Reason.MALFORMED),
    ("project_id", [None, "", 1], Reason.MALFORMED),
    ("run_id", [None, f"{{{RUN_ID}}}", f"urn:uuid:{RUN_ID}", RUN_ID + "\n"], Reason.MALFORMED),
    ("decision", ["approved", "Approve", True, None], Reason.MALFORMED),
    ("decision", ["reject"], Reason.REJECTED),
    ("tool_name", [["kubectl_delete"], False], Reason.MALFORMED),
    ("arguments_sha256", [0, {}], Reason.MALFORMED),
]


@pytest.mark.parametrize(("claim", "values", "reason"), WRONG_CLAIMS)
def test_a_claim_of_the_wrong_type_is_refused(
    claim: str, values: list[Any], reason: Reason
) -> None:
    for value in values:
        refusal(forged({**CLAIMS, claim: value}), reason)


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_a_claim_that_is_missing_or_there_twice_is_refused(claim: str) -> None:
    others = {name: value for name, value in CLAIMS.items() if name != claim}
    assert claim in refusal(forged(others), Reason.MALFORMED)
    text = json.dumps(CLAIMS)[:-1]
    for name in (claim, "".join(f"\\u{ord(char):04x}" for char in claim)):
        twice = f'{text}, "{name}": {json.dumps(CLAIMS[claim])}}}'
        refusal(forged(twice.encode()), Reason.MALFORMED)


def test_claims_are_one_json_object_in_utf_8() -> None:
    text = json.dumps(CLAIMS)
    for payload in (
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{",
        b"x",
        b"[" * 2000,
        text.encode() + b"{}",
    ):
        refusal(forged(payload), Reason.MALFORMED)
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        refusal(forged(text.encode(encoding)), Reason.MALFORMED)


def test_claims_and_headers_that_are_not_known_are_ignored() -> None:
    token = forged({**CLAIMS, "scope": ["a"]}, jku="https://evil.example", x5u="file:///dev/zero")
    assert verified(token) == approval()


@pytest.mark.parametrize(
    ("claim", "needed", "reason"),
    [
        ("issuer", ["runfold2", "", None], Reason.WRONG_ISSUER),
        ("audience", ["mailer", "engin", "", None, ["engine"]], Reason.WRONG_AUDIENCE),
        ("project_id", ["p2", "P1", None], Reason.WRONG_PROJECT),
        ("run_id", [RUN_ID.replace("3", "4"), RUN_ID.replace("-", "")], Reason.WRONG_RUN),
        ("run_version", [6, 8, None], Reason.WRONG_VERSION),
        ("tool_name", ["kubectl_get", "kubectl_delete ", None], Reason.WRONG_TOOL),
        ("arguments_sha256", ["0" * 64, "", None], Reason.WRONG_ARGUMENTS),
    ],
)
def test_a_token_for_another_call_is_refused(claim: str, needed: list[Any], reason: Reason) -> None:
    for value in needed:
        refusal(TOKEN, reason, **{claim: value})


def test_a_run_named_in_other_case_is_the_same_run() -> None:
    assert verified(TOKEN, run_id=RUN_ID.upper()).run_id == RUN_ID
    assert verified(forged({**CLAIMS, "run_id": RUN_ID.upper()})).run_id == RUN_ID


def test_texts_that_only_look_alike_are_not_the_same() -> None:
    token = KEYS.sign(approval(tool_name="café"))
    assert verified(token, tool_name="café").tool_name == "café"
    for look_alike in ("cafe\u0301", "cafе\u0301", "café\u200b"):
        refusal(token, Reason.WRONG_TOOL, tool_name=look_alike)


def test_what_a_run_did_not_name_matches_only_what_it_did_not_name() -> None:
    token = KEYS.sign(approval(tool_name=None, arguments_sha256=None))
    assert verified(token, tool_name=None, arguments_sha256=None).tool_name is None
    refusal(token, Reason.WRONG_TOOL, arguments_sha256=None)
    refusal(token, Reason.WRONG_ARGUMENTS, tool_name=None)


def test_no_message_holds_the_token_or_breaks_the_line() -> None:
    odd = "x\n\x1b[31m\u2028" * 50
    token = KEYS.sign(approval(tool_name=odd))
    line = refusal(token, Reason.WRONG_TOOL)
    assert token not in line
    assert odd not in line


def test_nothing_that_is_expected_can_be_left_out() -> None:
    assert all(field.default is dataclasses.MISSING for field in dataclasses.fields(EXPECTED))
