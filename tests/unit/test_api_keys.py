"""A JWKS is loaded when it has to be, and no oftener; what in it is no key is none."""

import asyncio
import json
import socket
import threading
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
    """A JWKS that changes, can be away and can be slow, and a clock."""

    def __init__(self, text: bytes | None) -> None:
        self.text, self.loads, self.now = text, 0, 1000.0
        self.go_on = threading.Event()
        self.go_on.set()
        self.jwks = Jwks(self.load, lambda: self.now)

    def load(self) -> bytes:
        self.go_on.wait(10)
        self.loads += 1
        if self.text is None:
            raise OSError("away")
        return self.text


async def unavailable(keys: Any) -> None:
    with pytest.raises(Unavailable) as raised:
        await keys.find("a")
    assert (raised.value.status, raised.value.code) == (503, "keys_unavailable")


async def test_a_new_key_is_found_and_unknown_ones_do_not_ask_again_and_again() -> None:
    source = Source(document("a"))
    for _ in range(2):
        assert await source.jwks.find("a")
    source.text = document("b")
    for _ in range(5):
        assert await source.jwks.find("b") is None
    assert source.loads == 1
    source.now += RETRY_S + 1
    assert all(await asyncio.gather(*(source.jwks.find("b") for _ in range(20))))
    assert source.loads == 2
    assert await source.jwks.find("a") is None


async def test_a_key_that_is_taken_out_is_trusted_for_a_while_only() -> None:
    source = Source(document("a", "b"))
    assert await source.jwks.find("a")
    source.text = document("b")
    source.now += REFRESH_S - 1
    assert await source.jwks.find("a")
    source.now += 2
    assert await source.jwks.find("a") is None


async def test_known_keys_outlive_an_outage_but_not_for_ever() -> None:
    source = Source(document("a"))
    assert await source.jwks.find("a")
    began = source.now
    source.now += REFRESH_S + 1
    for text in (b"no JSON", b"[]", b'{"keys": 1}', None):
        source.text = text
        source.now += RETRY_S + 1
        assert await source.jwks.find("a")
    source.now = began + TRUST_S
    assert await source.jwks.find("a")
    source.now += RETRY_S + 1
    await unavailable(source.jwks)
    source.text = document("a")
    source.now += RETRY_S + 1
    assert await source.jwks.find("a")


async def test_without_any_key_it_cannot_be_said_whether_a_token_is_good() -> None:
    source = Source(None)
    for _ in range(3):
        await unavailable(source.jwks)
    assert source.loads == 1
    source.text = document("a")
    source.now += RETRY_S + 1
    assert await source.jwks.find("a")


async def test_a_slow_source_keeps_only_one_request_waiting() -> None:
    source = Source(document("a"))
    assert await source.jwks.find("a")
    source.go_on.clear()
    source.now += REFRESH_S + 1
    first = asyncio.create_task(source.jwks.find("a"))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(source.jwks.find("a"), 5)
    assert not first.done()
    source.go_on.set()
    assert await first


@pytest.mark.parametrize(
    ("kids", "is_found"), [(("a",), True), (("a", "b"), False), ((None,), True)]
)
async def test_a_token_without_kid_means_the_only_key(
    kids: tuple[str | None, ...], is_found: bool
) -> None:
    assert (await Source(document(*kids)).jwks.find(None) is not None) == is_found


async def test_a_shared_secret_is_for_any_kid() -> None:
    keys = SharedSecret("x" * 32)
    assert await keys.find("a") == await keys.find(None)


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
        PUBLIC | {"kid": ["a"]},
        {},
        "text",
    ],
)
def test_what_is_not_a_public_signature_key_is_none(entry: Any) -> None:
    named = {"kid": "a"} | entry if isinstance(entry, dict) else entry
    assert parse(json.dumps({"keys": [named]}).encode()) == {}


def settings(source: object) -> AuthSettings:
    return AuthSettings(auth_hs256_secret=None, auth_jwks=str(source))


@pytest.mark.parametrize("text", [None, b"", b"{}", b'{"keys": []}', b"\xff", b'{"keys": [{}]}'])
def test_a_file_that_is_no_jwks_is_one_clear_line(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "jwks.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SettingError, match=r"^RUNFOLD_AUTH_JWKS: [^\n]*jwks\.json[^\n]*\Z"):
        from_settings(settings(path))


async def test_a_file_is_read_for_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document("a"))
    keys = from_settings(settings(path))
    assert await keys.find("a")
    assert await keys.find("b") is None


FOUND = b"HTTP/1.1 200 OK\r\n"
SOUND = FOUND + b"Connection: close\r\n\r\n" + document("a")


@pytest.mark.parametrize(
    ("said", "is_found"),
    [
        (SOUND, True),
        # a redirect is not followed, even to where the keys are
        (b"HTTP/1.1 302 Found\r\nLocation: /jwks.json\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", False),
        (b"no HTTP at all\r\n\r\n", False),
        (FOUND + b"Content-Length: 9\r\n\r\n{}", False),
        (FOUND + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n", False),
        (FOUND + b"\r\n" + b"[" * 100_000, False),
        (FOUND + b"\r\n\xff", False),
    ],
)
async def test_keys_come_from_a_url_or_it_is_an_outage(said: bytes, *, is_found: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for text in (said, SOUND):
                connection, _ = server.accept()
                with connection:
                    if not connection.recv(65_536):
                        return
                    connection.sendall(text)

        thread = threading.Thread(target=answer)
        thread.start()
        host, port = server.getsockname()
        keys = from_settings(settings(f"http://{host}:{port}/keys"))
        if is_found:
            assert await keys.find("a")
        else:
            await unavailable(keys)
        socket.create_connection((host, port)).close()  # nothing more is asked
        thread.join()


async def test_a_url_that_does_not_answer_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    await unavailable(from_settings(settings(f"http://127.0.0.1:{free}/")))
