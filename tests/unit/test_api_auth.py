"""Bearer tokens: what verifies, what does not, and what a bearer may see."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from api import auth
from api.auth import Bearer, Role, Unauthenticated, Verifier
from api.keys import Jwks, SharedSecret
from contracts.approvals.jwks_url import REFRESH_S

SECRET = "unit tests of the API: a secret that is long enough for HS512 as well"
ED25519 = ed25519.Ed25519PrivateKey.generate()
OTHER = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65_537, 2048)

CLAIMS: dict[str, Any] = {
    "iss": "runfold",
    "aud": "runfold",
    "sub": "alice",
    "exp": 2**33,
    "projects": ["p1", "p0"],
    "roles": ["viewer"],
}
KEYS = {
    "ed": OKPAlgorithm.to_jwk(ED25519.public_key(), as_dict=True),
    "ec": ECAlgorithm.to_jwk(P256.public_key(), as_dict=True),
    "rsa": RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True),
}


def document(keys: dict[str, dict[str, Any]]) -> bytes:
    return json.dumps({"keys": [{**key, "kid": kid} for kid, key in keys.items()]}).encode()


def by_secret() -> Verifier:
    return Verifier(SharedSecret(SECRET), "runfold", "runfold")


def by_jwks() -> Verifier:
    return Verifier(Jwks(lambda: document(KEYS)), "runfold", "runfold")


def token(
    key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any
) -> str:
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(said, key, algorithm, headers={"kid": kid} if kid else None)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def forged(header: Any, signature: bytes = b"") -> str:
    parts = json.dumps(header).encode(), json.dumps(CLAIMS).encode(), signature
    return ".".join(map(encoded, parts))


def signed_with_public_key(kid: str, secret: bytes) -> str:
    """A token whose HMAC secret is a published key: right wherever the token's word is taken."""
    unsigned = forged({"alg": "HS256", "typ": "JWT", "kid": kid}).rpartition(".")[0]
    return f"{unsigned}.{encoded(hmac.new(secret, unsigned.encode(), hashlib.sha256).digest())}"


def pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


async def refused(verifier: Verifier, given: str) -> str:
    """Why the token is refused."""
    with pytest.raises(Unauthenticated) as raised:
        await verifier.bearer(given)
    assert (raised.value.status, raised.value.code) == (401, "invalid_token")
    challenge = (raised.value.headers or {})["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="runfold", error="invalid_token"')
    assert SECRET not in challenge
    return raised.value.detail


async def test_a_good_token_says_who_asks() -> None:
    alice = Bearer("alice", ("p0", "p1"), frozenset({Role.VIEWER}))
    assert await by_secret().bearer(token()) == alice
    for key, algorithm, kid in (
        (ED25519, "EdDSA", "ed"),
        (P256, "ES256", "ec"),
        (RSA, "RS256", "rsa"),
    ):
        assert await by_jwks().bearer(token(key, algorithm, kid)) == alice


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": int(time.time()) - 1}, "expired"),
        ({"exp": None}, "lacks a claim"),
        ({"iss": None}, "lacks a claim"),
        ({"aud": None}, "lacks a claim"),
        ({"sub": None}, "lacks a claim"),
        ({"iss": "other"}, "another issuer"),
        ({"aud": "other"}, "another audience"),
        ({"aud": ["other"]}, "another audience"),
        ({"nbf": 2**33}, "not valid yet"),
        ({"exp": float("inf")}, "cannot be accepted"),
        ({"exp": 10**400}, "cannot be accepted"),
        ({"sub": ""}, "cannot be accepted"),
        ({"projects": "p0"}, "cannot be accepted"),
        ({"projects": [1]}, "cannot be accepted"),
        ({"projects": ["p\0"]}, "cannot be accepted"),
        ({"projects": ["\ud800"]}, "cannot be accepted"),
        ({"projects": {"*": 1}}, "cannot be accepted"),
        ({"roles": "operator"}, "cannot be accepted"),
        ({"roles": [None]}, "cannot be accepted"),
    ],
)
async def test_a_claim_that_is_not_right(claims: dict[str, Any], why: str) -> None:
    assert why in await refused(by_secret(), token(**claims))


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "a.b.c",
        "..",
        "\u00e9.\u00e9.\u00e9",
        token() + "x",
        token("another secret that is long enough for every HMAC"),
        token(algorithm="HS384"),
        token(algorithm="HS512"),
        token(ED25519, "EdDSA"),
        forged({}),
        forged({"alg": "none"}),
        forged({"alg": "None", "typ": "JWT"}),
        forged({"alg": "HS256"}),
        forged({"alg": "HS256", "kid": 5}),
        forged({"alg": ["HS256"]}),
        forged({"alg": "HS256", "crit": ["x"]}, b"x"),
        *(f"{encoded(b'[' * depth)}.e30.AA" for depth in (10, 5_000, 100_000)),
    ],
)
async def test_what_does_not_verify_with_a_secret(given: str) -> None:
    await refused(by_secret(), given)


@pytest.mark.parametrize(
    "given",
    [
        signed_with_public_key("rsa", pem(RSA)),
        signed_with_public_key("ec", pem(P256)),
        signed_with_public_key("ed", pem(ED25519)),
        signed_with_public_key("ed", json.dumps(KEYS["ed"]).encode()),
        forged({"alg": "none", "kid": "ed"}),
        forged({"alg": "EdDSA", "jwk": KEYS["ed"]}),
        token(ED25519, "EdDSA", "unknown"),
        token(ED25519, "EdDSA"),
        token(ED25519, "EdDSA", "rsa"),
        token(OTHER, "EdDSA", "ed"),
        token(RSA, "RS256", "ed"),
        token(RSA, "RS512", "rsa"),
        token(RSA, "PS256", "rsa"),
        token(SECRET, "HS256", "ed"),
    ],
)
async def test_what_does_not_verify_with_public_keys(given: str) -> None:
    await refused(by_jwks(), given)


async def test_without_a_token_the_challenge_names_no_error() -> None:
    with pytest.raises(Unauthenticated) as raised:
        await by_secret().bearer(None)
    assert (raised.value.status, raised.value.code) == (401, "missing_token")
    assert (raised.value.headers or {})["WWW-Authenticate"] == 'Bearer realm="runfold"'


@pytest.mark.parametrize(
    ("projects", "asked", "seen"),
    [
        ("*", None, None),
        ("*", ["p2", "p0", "p2"], ["p0", "p2"]),
        (["p1", "p0"], None, ["p0", "p1"]),
        (["p1", "p0"], ["p2", "p0"], ["p0"]),
        (["p1"], ["p2"], []),
        ([], None, []),
        (None, None, []),
        (["*"], ["p2"], []),
    ],
)
async def test_which_projects_there_are_for_a_bearer(
    projects: Any, asked: list[str] | None, seen: list[str] | None
) -> None:
    who = await by_secret().bearer(token(projects=projects))
    assert who.among(asked) == seen


async def test_roles_that_are_not_known_are_none() -> None:
    who = await by_secret().bearer(token(roles=["admin", "approver", "Viewer"]))
    assert who.roles == {Role.APPROVER}
    assert (await by_secret().bearer(token(roles=None))).roles == frozenset()


@pytest.mark.parametrize("part", [0, 0.9])
async def test_a_token_known_to_be_good_expires_all_the_same(
    monkeypatch: pytest.MonkeyPatch, part: float
) -> None:
    verifier = by_secret()
    end = int(time.time()) + 60
    short = token(exp=end + part)
    for moment in (end - 1, end - 0.001):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        assert (await verifier.bearer(short)).subject == "alice"
    monkeypatch.setattr(time, "time", lambda: end)
    assert "expired" in await refused(verifier, short)


async def test_a_token_known_to_be_good_is_not_once_its_key_is_gone() -> None:
    published, moment = {"ed": KEYS["ed"]}, 0.0
    keys = Jwks(lambda: document(published), clock=lambda: moment)
    verifier = Verifier(keys, "runfold", "runfold")
    signed = token(ED25519, "EdDSA", "ed")
    assert (await verifier.bearer(signed)).subject == "alice"
    published["ed"] = OKPAlgorithm.to_jwk(OTHER.public_key(), as_dict=True)
    moment += REFRESH_S + 1
    assert "signature" in await refused(verifier, signed)


def test_long_texts_are_not_kept() -> None:
    read: list[str] = []
    kept = auth._remembering(read.append)
    short, long = "a" * auth.LONGEST_KNOWN, "a" * (auth.LONGEST_KNOWN + 1)
    for text in (short, long) * 2:
        kept(text)
    assert read == [short, long, long]
