"""Bearer tokens: what verifies, what does not, and what a bearer may see."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.warnings import InsecureKeyLengthWarning
from pydantic import SecretStr

from api.auth import LONGEST_TOKEN, Bearer, Role, Unauthenticated, Verifier, verifier
from api.problems import Problem
from contracts.errors import SettingError
from contracts.jwks import REFRESH_S, RETRY_S, TRUST_S
from contracts.settings import AuthSettings
from contracts.tokens import LEEWAY_S
from tests.approvals import JwksFile, stop_clock

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
    "ed": OKPAlgorithm.to_jwk(ED25519.public_key(), as_dict=True) | {"kid": "ed"},
    "ec": ECAlgorithm.to_jwk(P256.public_key(), as_dict=True) | {"kid": "ec"},
    "rsa": RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "rsa"},
}
SIGNED_OTHERWISE = OKPAlgorithm.to_jwk(OTHER.public_key(), as_dict=True)


def settings(jwks: object = None) -> AuthSettings:
    return AuthSettings(
        auth_hs256_secret=SecretStr(SECRET) if jwks is None else None,
        auth_jwks=None if jwks is None else str(jwks),
    )


@pytest.fixture
def file(tmp_path: Path) -> JwksFile:
    return JwksFile(tmp_path, *KEYS.values())


def by(file: JwksFile) -> Verifier:
    return Verifier(file.jwks, "runfold", "runfold")


def by_secret() -> Verifier:
    return verifier(settings())


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


async def test_a_good_token_says_who_asks(file: JwksFile) -> None:
    alice = Bearer("alice", ("p0", "p1"), frozenset({Role.VIEWER}))
    assert await by_secret().bearer(token()) == alice
    assert await by_secret().bearer(token(kid="any")) == alice
    by_file = verifier(settings(file.path))
    assert await by_file.bearer(token(ED25519, "EdDSA", "ed")) == alice
    assert await by_file.bearer(token(P256, "ES256", "ec")) == alice
    assert await by_file.bearer(token(RSA, "RS256", "rsa")) == alice


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": 7}, "expired"),
        ({"exp": None}, "lacks a claim"),
        ({"iss": None}, "lacks a claim"),
        ({"aud": None}, "lacks a claim"),
        ({"sub": None}, "lacks a claim"),
        ({"iss": "other"}, "another issuer"),
        ({"aud": "other"}, "another audience"),
        ({"aud": ["other"]}, "another audience"),
        ({"nbf": 2**33}, "not valid yet"),
        ({"iat": 2**33}, "not valid yet"),
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
        forged({"alg": "HS256", "kid": "\u9375" * 2_000}),
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
async def test_what_does_not_verify_with_public_keys(file: JwksFile, given: str) -> None:
    await refused(by(file), given)


async def test_a_token_that_is_too_long_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    spare = LONGEST_TOKEN - len(token(pad=""))
    assert await by_secret().bearer(token(pad="p" * (spare * 3 // 4)))
    long = token(pad="p" * spare)
    monkeypatch.setattr(jwt, "get_unverified_header", None)
    assert str(LONGEST_TOKEN) in await refused(by_secret(), long)


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
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_token_is_good_until_its_expiry_and_a_leeway_known_or_not(
    monkeypatch: pytest.MonkeyPatch, part: float, *, is_known: bool
) -> None:
    end, known = 2**33 + LEEWAY_S, by_secret()
    short = token(exp=2**33 + part)
    for moment in (end - 1, end - 0.001):
        stop_clock(monkeypatch, moment)
        assert (await known.bearer(short)).subject == "alice"
    stop_clock(monkeypatch, end)
    assert "expired" in await refused(known if is_known else by_secret(), short)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_is_good_a_leeway_before_its_time(
    monkeypatch: pytest.MonkeyPatch, claim: str
) -> None:
    said: dict[str, Any] = {claim: 2**32}
    stop_clock(monkeypatch, 2**32 - LEEWAY_S)
    assert (await by_secret().bearer(token(**said))).subject == "alice"
    stop_clock(monkeypatch, 2**32 - LEEWAY_S - 0.001)
    assert "not valid yet" in await refused(by_secret(), token(**said))


async def test_keys_are_rotated(file: JwksFile) -> None:
    known, signed, later = by(file), token(ED25519, "EdDSA", "ed"), token(OTHER, "EdDSA", "new")
    assert await known.bearer(signed)
    file.publish(KEYS["ed"], SIGNED_OTHERWISE | {"kid": "new"})
    await refused(known, later)  # no outage, though it may have been published since
    file.now += RETRY_S
    assert await known.bearer(later)
    file.publish(SIGNED_OTHERWISE | {"kid": "ed"})
    assert await known.bearer(signed)
    file.now += REFRESH_S + 1
    assert "signature" in await refused(known, signed)
    await refused(known, later)


async def test_without_keys_it_cannot_be_said_whether_a_token_is_good(file: JwksFile) -> None:
    known, signed = by(file), token(ED25519, "EdDSA", "ed")
    assert await known.bearer(signed)
    file.path.unlink()
    file.now += TRUST_S
    assert await known.bearer(signed)
    file.now += 1
    for given in (signed, token(ED25519, "EdDSA", "unknown")):
        with pytest.raises(Problem) as raised:
            await known.bearer(given)
        assert (raised.value.status, raised.value.code) == (503, "keys_unavailable")


async def test_a_known_key_does_not_wait_for_unknown_ones(file: JwksFile) -> None:
    known, signed = by(file), token(ED25519, "EdDSA", "ed")
    assert await known.bearer(signed)
    file.path.unlink()
    os.mkfifo(file.path)
    file.now += REFRESH_S + 1
    unknown = [known.bearer(token(OTHER, "EdDSA", f"x{number}")) for number in range(100)]
    waiting = asyncio.gather(*unknown, return_exceptions=True)
    with await asyncio.to_thread(file.path.open, "w"):  # opened as soon as somebody reads
        assert await asyncio.wait_for(known.bearer(signed), 5)
        await asyncio.wait_for(asyncio.to_thread(int), 5)  # nor does anything else
        assert not waiting.done()
    assert {type(each) for each in await waiting} == {Unauthenticated}


async def test_a_short_rsa_key_or_one_of_two_with_its_name_verifies_nothing(
    tmp_path: Path,
) -> None:
    short = rsa.generate_private_key(65_537, 1024)
    published = RSAAlgorithm.to_jwk(short.public_key(), as_dict=True) | {"kid": "short"}
    file = JwksFile(tmp_path, published, *KEYS.values(), SIGNED_OTHERWISE | {"kid": "ed"})
    with pytest.warns(InsecureKeyLengthWarning):
        await refused(by(file), token(short, "RS256", "short"))
    await refused(by(file), token(ED25519, "EdDSA", "ed"))
    assert await by(file).bearer(token(RSA, "RS256", "rsa"))


@pytest.mark.parametrize("text", [None, b"", b"{}", b'{"keys": []}', b"\xff", b'{"keys": [{}]}'])
def test_a_file_that_is_no_jwks_is_one_clear_line(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "jwks.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SettingError, match=r"^RUNFOLD_AUTH_JWKS: [^\n]*jwks\.json[^\n]*\Z"):
        verifier(settings(path))


async def test_a_url_is_asked_when_the_first_token_comes() -> None:
    away = verifier(settings("http://127.0.0.1:1/jwks.json"))
    with pytest.raises(Problem):
        await away.bearer(token(ED25519, "EdDSA", "ed"))
