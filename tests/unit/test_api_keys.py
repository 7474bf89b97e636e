"""A JWKS is loaded when it has to be, and no oftener; what in it is no key is none."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from api.keys import RETRY_S, Jwks, SharedSecret, from_settings, parse
from api.problems import Unavailable
from contracts.approvals.jwks_url import REFRESH_S, TRUST_S
from contracts.errors import SettingError
from contracts.settings import AuthSettings

PUBLIC = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)


def document(*kids: str | None) -> bytes:
    return json.dumps({"keys": [PUBLIC | {"kid": kid} for kid in kids]}).encode()


class Source:
    """A JWKS that changes and can be away, and a clock."""

    def __init__(self, text: bytes | None) -> None:
        self.text, self.loads, self.now = text, 0, 1000.0

    def load(self) -> bytes:
        self.loads += 1
        if self.text is None:
            raise OSError("away")
        return self.text

    def jwks(self) -> Jwks:
        return Jwks(self.load, lambda: self.now)


async def test_a_known_key_is_loaded_once() -> None:
    source = Source(document("a", "b"))
    jwks = source.jwks()
    for kid in ("a", "b", "a"):
        assert await jwks.find(kid)
    assert source.loads == 1


async def test_a_new_key_is_found_and_unknown_ones_do_not_ask_again_and_again() -> None:
    source = Source(document("a"))
    jwks = source.jwks()
    assert await jwks.find("a")
    source.text = document("b")
    for _ in range(5):
        assert await jwks.find("b") is None
    assert source.loads == 1
    source.now += RETRY_S + 1
    found = await asyncio.gather(*(jwks.find("b") for _ in range(20)))
    assert all(found)
    assert source.loads == 2
    assert await jwks.find("a") is None


async def test_a_key_that_is_taken_out_is_trusted_for_a_while_only() -> None:
    source = Source(document("a", "b"))
    jwks = source.jwks()
    assert await jwks.find("a")
    source.text = document("b")
    source.now += REFRESH_S - 1
    assert await jwks.find("a")
    source.now += 2
    assert await jwks.find("a") is None


async def test_known_keys_outlive_an_outage() -> None:
    source = Source(document("a"))
    jwks = source.jwks()
    assert await jwks.find("a")
    source.now += REFRESH_S + 1
    for text in (None, b"no JSON", b"[]", b'{"keys": 1}'):
        source.text = text
        source.now += RETRY_S + 1
        assert await jwks.find("a")


async def test_known_keys_do_not_outlive_an_outage_for_ever() -> None:
    source = Source(document("a"))
    jwks = source.jwks()
    assert await jwks.find("a")
    source.text = None
    source.now += TRUST_S
    assert await jwks.find("a")
    source.now += RETRY_S + 1
    with pytest.raises(Unavailable):
        await jwks.find("a")
    source.text = document("a")
    source.now += RETRY_S + 1
    assert await jwks.find("a")


async def test_without_any_key_it_cannot_be_said_whether_a_token_is_good() -> None:
    source = Source(None)
    jwks = source.jwks()
    for _ in range(3):
        with pytest.raises(Unavailable) as raised:
            await jwks.find("a")
        assert (raised.value.status, raised.value.code) == (503, "keys_unavailable")
    assert source.loads == 1
    source.text = document("a")
    source.now += RETRY_S + 1
    assert await jwks.find("a")


@pytest.mark.parametrize(
    ("kids", "is_found"), [(("a",), True), (("a", "b"), False), ((None,), True)]
)
async def test_a_token_without_kid_means_the_only_key(
    kids: tuple[str | None, ...], is_found: bool
) -> None:
    assert (await Source(document(*kids)).jwks().find(None) is not None) == is_found


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        PUBLIC | {"alg": "none"},
        PUBLIC | {"use": "enc"},
        PUBLIC | {"alg": ["EdDSA"]},
        PUBLIC | {"x": 5},
        PUBLIC | {"crv": "X25519"},
        PUBLIC | {"kty": "new"},
        {},
        "text",
    ],
)
def test_what_is_not_a_public_signature_key_is_none(entry: Any) -> None:
    named = entry | {"kid": "a"} if isinstance(entry, dict) else entry
    assert parse(json.dumps({"keys": [named]}).encode()) == {}


def test_a_key_whose_id_is_no_text_is_none() -> None:
    assert parse(json.dumps({"keys": [PUBLIC | {"kid": ["a"]}]}).encode()) == {}


class Slow(Source):
    """A JWKS that takes until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(document("a"))
        self.go_on = threading.Event()

    def load(self) -> bytes:
        self.go_on.wait(10)
        return super().load()


async def test_a_slow_source_keeps_only_one_request_waiting() -> None:
    source = Slow()
    source.go_on.set()
    jwks = source.jwks()
    assert await jwks.find("a")
    source.go_on.clear()
    source.now += REFRESH_S + 1
    first = asyncio.create_task(jwks.find("a"))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(jwks.find("a"), 5)
    assert not first.done()
    source.go_on.set()
    assert await first


async def test_a_shared_secret_is_for_any_kid() -> None:
    keys = SharedSecret("x" * 32)
    assert await keys.find("a") == await keys.find(None)


def settings(**given: Any) -> AuthSettings:
    return AuthSettings(**{"auth_hs256_secret": None, "auth_jwks": None} | given)


@pytest.mark.parametrize("text", [None, b"", b"{}", b'{"keys": []}', b"\xff", b'{"keys": [{}]}'])
def test_a_file_that_is_no_jwks_is_one_clear_line(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "jwks.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SettingError) as raised:
        from_settings(settings(auth_jwks=str(path)))
    assert str(raised.value).startswith(f"RUNFOLD_AUTH_JWKS: {path}")
    assert "\n" not in str(raised.value)


async def test_a_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document("a"))
    keys = from_settings(settings(auth_jwks=str(path)))
    assert await keys.find("a")
    assert await keys.find("b") is None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        statuses = {"/jwks.json": 200, "/elsewhere": 302}
        self.send_response(statuses.get(self.path, 500))
        self.send_header("Location", "/jwks.json")
        self.end_headers()
        self.wfile.write(document("a"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_keys_come_from_a_url(url: str) -> None:
    keys = from_settings(settings(auth_jwks=f"{url}/jwks.json"))
    assert await keys.find("a")


@pytest.mark.parametrize(
    "said",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\n\r\n\xff",
    ],
)
async def test_a_server_that_talks_nonsense_is_an_outage(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        jwks = from_settings(settings(auth_jwks=f"http://127.0.0.1:{server.getsockname()[1]}/"))
        with pytest.raises(Unavailable):
            await jwks.find("a")
        thread.join()


async def test_a_redirect_is_not_followed(url: str) -> None:
    with pytest.raises(Unavailable):
        await from_settings(settings(auth_jwks=f"{url}/elsewhere")).find("a")


@pytest.mark.parametrize("path", ["/missing", None])
async def test_a_url_that_does_not_answer(url: str, path: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    source = f"{url}{path}" if path else f"http://127.0.0.1:{free}/"
    with pytest.raises(Unavailable):
        await from_settings(settings(auth_jwks=source)).find("a")
