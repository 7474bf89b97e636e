"""Published keys are loaded when they are needed, no more often, and trusted for a while only."""

import json
import logging
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from contracts import jwks
from contracts.jwks import (
    REFRESH_S,
    RETRY_S,
    TRUST_S,
    Jwks,
    KeyNotLoaded,
    KeySet,
    KeysUnavailable,
)
from contracts.signing_keys import SigningKeys, jwk
from tests.approvals import KEY, KEYS, OTHER, OTHER_KEY, TOKEN, approval, verified

KID = KEYS.kid
NOBODY = "n" * 43
PUBLIC = jwk(KEY.public_key())


class Publisher:
    """A server of keys, whose answer can be changed and held back, and a clock."""

    def __init__(self) -> None:
        self.status = 200
        self.body: bytes = json.dumps(KEYS.jwks()).encode()
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.now = 1000.0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.is_asked.set()
                publisher.may_answer.wait()
                self.send_response(publisher.status)
                for name, value in publisher.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(publisher.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/jwks.json"

    def publish(self, keys: SigningKeys) -> None:
        self.status, self.body = 200, json.dumps(keys.jwks()).encode()

    def hold(self) -> None:
        """Let the next request wait until `may_answer` is set."""
        self.is_asked.clear()
        self.may_answer.clear()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = Publisher()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.may_answer.set()
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def source(publisher: Publisher) -> Jwks:
    return Jwks(publisher.url, clock=lambda: publisher.now)


def is_found(source: Jwks, kid: str = KID) -> bool:
    return source.find(kid) is not None


def test_keys_are_loaded_once_when_they_are_needed(source: Jwks, publisher: Publisher) -> None:
    assert publisher.asked == 0
    assert source.ready(KID) is None
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: is_found(source), range(8)))
    assert verified(TOKEN, keys=source) == approval()
    assert publisher.asked == 1


@pytest.mark.parametrize(("seconds", "other"), [(RETRY_S, NOBODY), (REFRESH_S + 1, KID)])
def test_a_known_key_does_not_wait_for_a_load(
    source: Jwks, publisher: Publisher, seconds: float, other: str
) -> None:
    source.find(KID)
    publisher.now += seconds
    publisher.hold()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(source.find, other)
        try:
            assert publisher.is_asked.wait(5)
            assert source.ready(KID) is not None
            assert pool.submit(source.find, KID).result(2) is not None
            assert not waiting.done()
        finally:
            publisher.may_answer.set()
    assert (waiting.result() is not None) == (other == KID)


def test_a_new_key_is_loaded_when_a_token_names_it(source: Jwks, publisher: Publisher) -> None:
    assert is_found(source)
    publisher.publish(SigningKeys(OTHER_KEY, (KEY.public_key(),)))
    publisher.now += RETRY_S
    assert is_found(source, OTHER.kid)
    assert is_found(source)
    assert publisher.asked == 2


def test_unknown_keys_make_it_ask_no_more_than_every_few_seconds(
    source: Jwks, publisher: Publisher
) -> None:
    assert not is_found(source, NOBODY)
    for _ in range(100):
        publisher.now += RETRY_S / 101
        # It may have been published since: that is no reason to refuse its tokens for good.
        with pytest.raises(KeyNotLoaded, match="not known yet"):
            source.find(NOBODY)
    assert publisher.asked == 1
    publisher.now += RETRY_S
    assert not is_found(source, NOBODY)
    assert publisher.asked == 2


def test_a_key_that_is_withdrawn_is_trusted_no_longer_than_said(
    source: Jwks, publisher: Publisher
) -> None:
    assert is_found(source)
    publisher.publish(OTHER)
    publisher.now += REFRESH_S
    assert is_found(source)
    publisher.now += 1
    assert not is_found(source)


def test_known_keys_outlast_an_outage_for_a_while(
    source: Jwks, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_found(source)
    publisher.status = 500
    publisher.now += TRUST_S
    with caplog.at_level(logging.WARNING):
        assert is_found(source)
        assert is_found(source)
    [line] = caplog.messages
    assert publisher.url in line
    assert "500" in line
    with pytest.raises(KeyNotLoaded):
        source.find(OTHER.kid)
    publisher.now += 1
    assert source.ready(KID) is None
    with pytest.raises(KeysUnavailable, match="500"):
        source.find(KID)
    publisher.status = 200
    publisher.now += RETRY_S
    assert is_found(source)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((404, b"{}"), (503, b"{}"), (200, b""), (200, b"<html>"), (200, b"\xff"), (200, b"[]")),
        *((200, b"[" * 100_000), (200, b"{}"), (200, b'{"keys": {}}')),
        (302, b"{}"),  # a redirect is not followed, even to where the keys are
    ],
    ids=lambda value: str(value)[:20],
)
def test_without_a_jwks_nothing_is_said_of_the_token(
    source: Jwks, publisher: Publisher, status: int, body: bytes
) -> None:
    publisher.status, publisher.body = status, body
    publisher.headers = {"Location": publisher.url}
    for _ in range(3):
        with pytest.raises(KeysUnavailable) as raised:
            verified(TOKEN, keys=source)
        assert publisher.url in str(raised.value)
    assert publisher.asked == 1


@pytest.mark.parametrize(
    ("said", "is_reset"),
    [
        (b"no HTTP at all\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", False),
        (None, False),  # it never answers
    ],
)
def test_an_answer_that_breaks_off_is_an_outage(
    monkeypatch: pytest.MonkeyPatch, said: bytes | None, *, is_reset: bool
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(jwks, "TIMEOUT_S", 0.05 if said is None else 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(said or b"")
                # What lingers for no time is reset when it is closed.
                linger = struct.pack("ii", is_reset, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        thread = threading.Thread(target=answer if said else int)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(KeysUnavailable):
            Jwks(url).find(KID)
        thread.join()
    with pytest.raises(KeysUnavailable):  # now that nobody is there
        Jwks(url).find(KID)


def test_a_file_is_read_again_as_a_url_is(tmp_path: Path) -> None:
    path, now = tmp_path / "jwks.json", 0.0
    source = Jwks(str(path), clock=lambda: now)
    with pytest.raises(FileNotFoundError):
        source.load()
    path.write_text(json.dumps(KEYS.jwks()))
    with pytest.raises(KeysUnavailable, match=r"jwks\.json"):
        source.find(KID)
    now += RETRY_S
    assert is_found(source)
    path.unlink()
    now += REFRESH_S + 1
    assert is_found(source)
    path.write_text(json.dumps(OTHER.jwks()))
    assert source.load() == 1
    assert not is_found(source)


GOOD_URLS = ["https://runfold.example/jwks.json", "http://localhost:8080/", "http://[::1]/"]
BAD_URLS = [
    *("http://runfold.example/jwks.json", "http://localhost.evil.example/", "ftp://127.0.0.1/"),
    *("http://127.0.0.1@evil.example/", "HTTP://evil.example/", "file:///etc/passwd", "://"),
]


def test_only_protected_urls_are_taken() -> None:
    for url in GOOD_URLS:
        assert Jwks(url).ready(KID) is None
    for url in BAD_URLS:
        with pytest.raises(ValueError, match="must be https"):
            Jwks(url)


# What is a key, and whose.


def public(key: Any, algorithm: Any, **members: Any) -> dict[str, Any]:
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": KID, **members}


P384 = ec.generate_private_key(ec.SECP384R1())
SHORT = rsa.generate_private_key(65_537, 1024)
ED448 = Ed448PrivateKey.generate()


@pytest.mark.parametrize(
    "entry",
    [
        *(None, 7, [], {}, "text"),
        *(PUBLIC | {"use": "enc"}, PUBLIC | {"kty": "EC"}, PUBLIC | {"kty": "new"}),
        *(PUBLIC | {"alg": alg} for alg in ("HS256", "none", "", "RS256", ["EdDSA"], 7)),
        *(PUBLIC | {"crv": crv} for crv in ("X25519", "Ed448", "P-256")),
        *(PUBLIC | {"x": x} for x in (7, "", "AAAA", None, [7])),
        *(PUBLIC | {"kid": kid} for kid in (["a"], 7, {"a": 7})),
        {name: value for name, value in PUBLIC.items() if name != "x"},
        {**OKPAlgorithm.to_jwk(KEY, as_dict=True), "kid": KID},  # private
        {**ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True), "kid": KID},
        PUBLIC | {"kty": "oct", "k": PUBLIC["x"]},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I", "kid": KID},
        public(SHORT, RSAAlgorithm),
        public(SHORT, RSAAlgorithm, alg="RS256"),
        public(P384, ECAlgorithm),
        public(P384, ECAlgorithm, alg="ES256"),
        public(ED448, OKPAlgorithm, alg="EdDSA"),
        public(ED448, OKPAlgorithm, alg="Ed25519"),
    ],
    ids=lambda entry: str(entry)[:40],
)
def test_what_is_no_public_signature_key_is_left_out(entry: Any) -> None:
    assert len(KeySet({"keys": [entry]})) == 0
    both = KeySet({"keys": [entry, PUBLIC]})
    assert len(both) == 1
    assert both.find(KID) is not None


def test_the_algorithm_is_named_in_two_ways_or_follows_from_the_key() -> None:
    for alg in ("EdDSA", "Ed25519", None):
        [found] = [KeySet({"keys": [PUBLIC | {"alg": alg}]}).find(KID)]
        assert found is not None
        assert (found.algorithm_name, found.key) == ("EdDSA", KEY.public_key())
    long = public(rsa.generate_private_key(65_537, 2048), RSAAlgorithm)
    found = KeySet({"keys": [long]}).find(KID)
    assert found is not None
    assert found.algorithm_name == "RS256"


def test_of_two_keys_with_one_name_neither_counts() -> None:
    theirs = jwk(OTHER_KEY.public_key())
    keys = KeySet({"keys": [PUBLIC, theirs, theirs | {"kid": KID}]})
    assert keys.find(KID) is None
    assert keys.find(OTHER.kid) is not None


@pytest.mark.parametrize(
    ("kids", "is_found"), [(["a"], True), (["a", "b"], False), ([None], True), ([], False)]
)
def test_without_a_name_the_only_key_is_meant(kids: list[str | None], *, is_found: bool) -> None:
    keys = KeySet({"keys": [PUBLIC | {"kid": kid} for kid in kids]})
    assert (keys.find(None) is not None) == is_found


@pytest.mark.parametrize("document", [{}, [], None, {"keys": None}, {"keys": {}}, {"keys": "a"}])
def test_what_is_no_jwks_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        KeySet(document)
