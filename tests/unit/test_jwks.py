"""Published keys are loaded when they are needed, no more often, and trusted for a while only."""

import json
import logging
import os
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from contracts import jwks
from contracts.jwks import REFRESH_S, RETRY_S, TRUST_S, Jwks, KeyNotLoaded, KeySet, KeysUnavailable
from contracts.signing_keys import jwk
from tests.approvals import KEY, KEYS, OTHER, OTHER_KEY, TOKEN, JwksFile, approval, verified

KID = KEYS.kid
MINE, THEIRS = jwk(KEY.public_key()), jwk(OTHER_KEY.public_key())


@pytest.fixture
def file(tmp_path: Path) -> JwksFile:
    return JwksFile(tmp_path, MINE)


def test_keys_are_loaded_once_when_they_are_needed(file: JwksFile) -> None:
    file.path.unlink()
    assert file.jwks.ready(KID) is None
    os.mkfifo(file.path)  # what is written into it can be read only once
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(file.jwks.find, [KID] * 8)
        file.path.write_text(json.dumps(KEYS.jwks()))
        assert None not in found
    assert verified(TOKEN, keys=file.jwks) == approval()


@pytest.mark.parametrize(("seconds", "other"), [(RETRY_S, OTHER.kid), (REFRESH_S + 1, KID)])
def test_a_known_key_does_not_wait_for_a_load(file: JwksFile, seconds: float, other: str) -> None:
    file.jwks.find(KID)
    file.path.unlink()
    os.mkfifo(file.path)
    file.now += seconds
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(file.jwks.find, other)
        with file.path.open("w") as writer:  # opened as soon as somebody reads
            assert file.jwks.ready(KID) is not None
            assert pool.submit(file.jwks.find, KID).result(5) is not None
            assert not waiting.done()
            writer.write(json.dumps({"keys": [MINE, THEIRS]}))
        assert waiting.result() is not None


def test_a_new_key_is_loaded_when_a_token_names_it_but_not_again_and_again(file: JwksFile) -> None:
    assert file.jwks.find(OTHER.kid) is None
    file.publish(MINE, THEIRS)
    for _ in range(100):
        file.now += RETRY_S / 101
        # It may have been published since: that is no reason to refuse its tokens for good.
        with pytest.raises(KeyNotLoaded, match="not known yet"):
            file.jwks.find(OTHER.kid)
    file.now += RETRY_S
    assert file.jwks.find(OTHER.kid) is not None
    assert file.jwks.find(KID) is not None


def test_a_key_that_is_withdrawn_is_trusted_no_longer_than_said(file: JwksFile) -> None:
    assert file.jwks.find(KID) is not None
    file.publish(THEIRS)
    file.now += REFRESH_S
    assert file.jwks.find(KID) is not None
    file.now += 1
    assert file.jwks.find(KID) is None


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"keys": 1}', "[" * 100_000])
def test_known_keys_outlast_an_outage_for_a_while(
    file: JwksFile, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert file.jwks.find(KID) is not None
    if text is None:
        file.path.unlink()
    else:
        file.path.write_text(text)
    file.now += TRUST_S
    with caplog.at_level(logging.WARNING):
        assert [file.jwks.find(KID) is not None for _ in range(3)] == [True] * 3
    assert file.jwks.ready(KID) is not None
    [line] = caplog.messages
    assert str(file.path) in line
    with pytest.raises(KeyNotLoaded):
        file.jwks.find(OTHER.kid)
    file.now += 1
    assert file.jwks.ready(KID) is None
    with pytest.raises(KeysUnavailable, match=r"no keys from .*jwks\.json: .+"):
        verified(TOKEN, keys=file.jwks)
    file.publish(MINE)
    file.now += RETRY_S
    assert file.jwks.find(KID) is not None


FOUND = b"HTTP/1.1 200 OK\r\n"
SOUND = FOUND + b"Connection: close\r\n\r\n" + json.dumps(KEYS.jwks()).encode()


@pytest.mark.parametrize(
    "said",
    [
        SOUND,
        # a redirect is not followed, even to where the keys are
        b"HTTP/1.1 302 Found\r\nLocation: /jwks.json\r\nContent-Length: 0\r\n\r\n",
        *(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status for status in (404, 500, 503)),
        *(FOUND + b"\r\n" + body for body in (b"", b"<html>", b"\xff", b"[]", b"[" * 100_000)),
        *(FOUND + b"\r\n" + body for body in (b"{}", b'{"keys": {}}')),
        b"no HTTP at all\r\n\r\n",
        FOUND + b"Content-Length: 99\r\n\r\n{",
        FOUND + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n",
        b"HTTP/1.1 200",  # and then it is reset
        None,  # it never answers
    ],
    ids=lambda said: str(said)[:50],
)
def test_keys_come_from_a_url_or_it_is_an_outage(
    monkeypatch: pytest.MonkeyPatch, said: bytes | None
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(jwks, "TIMEOUT_S", 0.05 if said is None else 5.0)

    def answer() -> None:
        for text in (said, SOUND):
            connection, _ = server.accept()
            with connection:
                if not connection.recv(65_536):
                    return
                connection.sendall(text or b"")
                # What lingers for no time is reset when it is closed.
                linger = struct.pack("ii", text == b"HTTP/1.1 200", 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        source = Jwks(f"http://127.0.0.1:{address[1]}/jwks.json")
        thread = threading.Thread(target=answer if said else int)
        thread.start()
        if said == SOUND:
            assert source.find(KID) is not None
        else:
            with pytest.raises(KeysUnavailable, match=r"/jwks\.json: ."):
                source.find(KID)
        socket.create_connection(address).close()  # nothing more is asked
        thread.join()
    away = Jwks(f"http://127.0.0.1:{address[1]}/")
    with pytest.raises(KeysUnavailable):
        away.find(KID)


def test_only_protected_urls_are_taken() -> None:
    for url in ("https://id.example/jwks.json", "http://localhost:80/", "http://[::1]/"):
        assert Jwks(url).ready(KID) is None
    for url in (
        *("http://id.example/jwks.json", "http://localhost.evil.example/", "ftp://127.0.0.1/"),
        *("http://127.0.0.1@evil.example/", "HTTP://evil.example/", "file:///etc/passwd", "://"),
    ):
        with pytest.raises(ValueError, match="must be https"):
            Jwks(url)


# What is a key, and whose.

ED448 = OKPAlgorithm.to_jwk(Ed448PrivateKey.generate().public_key(), as_dict=True)
P256 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
RSA = RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 2048).public_key(), as_dict=True)
SHORT = RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 1024).public_key(), as_dict=True)
SECRET = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"}

NOT_KEYS: list[Any] = [
    *(None, 7, [], {}, "text", SECRET, SECRET | {"alg": "HS256"}, MINE | SECRET, SHORT, P384),
    *(MINE | {"use": "enc"}, MINE | {"kty": "EC"}, MINE | {"kty": "new"}),
    *(MINE | {"alg": alg} for alg in ("HS256", "none", "", "RS256", ["EdDSA"], 7)),
    *(MINE | {"crv": crv} for crv in ("X25519", "Ed448", "P-256")),
    *(MINE | {"x": x} for x in (7, "", "AAAA", None, [7])),
    *(MINE | {"kid": kid} for kid in (["a"], 7, {"a": 7})),
    {name: value for name, value in MINE.items() if name != "x"},
    *(OKPAlgorithm.to_jwk(KEY, as_dict=True), P256),  # private
    *(SHORT | {"alg": "RS256"}, P384 | {"alg": "ES256"}),
    *(ED448 | {"alg": alg} for alg in ("EdDSA", "Ed25519")),
]


def test_what_is_no_public_signature_key_is_left_out() -> None:
    for entry in NOT_KEYS:
        named = {"kid": KID} | entry if isinstance(entry, dict) else entry
        assert len(KeySet({"keys": [named]})) == 0, entry
        assert len(KeySet({"keys": [named, MINE]})) == 1, entry


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519", None])
def test_the_algorithm_is_named_in_two_ways_or_follows_from_the_key(alg: str | None) -> None:
    keys = KeySet({"keys": [MINE | {"alg": alg}, RSA | {"kid": "rsa"}]})
    found, other = keys.find(KID), keys.find("rsa")
    assert found is not None
    assert (found.algorithm_name, found.key) == ("EdDSA", KEY.public_key())
    assert other is not None
    assert other.algorithm_name == "RS256"


def test_of_two_keys_with_one_name_neither_counts() -> None:
    keys = KeySet({"keys": [MINE, THEIRS, THEIRS | {"kid": KID}]})
    assert keys.find(KID) is None
    assert keys.find(OTHER.kid) is not None


@pytest.mark.parametrize(("kids", "count"), [("a", 1), ("ab", 0), ([None], 1), ([], 0)])
def test_without_a_name_the_only_key_is_meant(kids: list[str | None], count: int) -> None:
    keys = KeySet({"keys": [MINE | {"kid": kid} for kid in kids]})
    assert (keys.find(None) is not None) == bool(count)


@pytest.mark.parametrize("document", [{}, [], None, {"keys": None}, {"keys": {}}, {"keys": "a"}])
def test_what_is_no_jwks_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        KeySet(document)
