"""Published keys are fetched when they are needed, no more often, and trusted for a while only."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from contracts.approvals import JwksUrl, KeysUnavailable, SigningKeys, errors, verify_async
from contracts.approvals.jwks_url import REFRESH_S, RETRY_S, TRUST_S
from tests.approvals import (
    EXPECTED,
    KEY,
    KEYS,
    OTHER_KEY,
    TOKEN,
    AsyncMemory,
    approval,
    refusal,
    verified,
)

OTHER = SigningKeys(OTHER_KEY)
NOBODY = "n" * 43


class Publisher:
    """A server of keys, whose answer can be changed."""

    def __init__(self) -> None:
        self.status = 200
        self.body: bytes = json.dumps(KEYS.jwks()).encode()
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.is_asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.may_answer.set()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.is_asked.release()
                publisher.may_answer.wait()
                self.send_response(publisher.status)
                for name, value in publisher.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(publisher.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nobody reads it."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/jwks.json"

    def publish(self, keys: SigningKeys) -> None:
        self.status, self.body = 200, json.dumps(keys.jwks()).encode()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = Publisher()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(publisher: Publisher, clock: Clock) -> JwksUrl:
    return JwksUrl(publisher.url, clock=clock)


def test_keys_are_fetched_once_when_they_are_needed(source: JwksUrl, publisher: Publisher) -> None:
    assert publisher.asked == 0
    for _ in range(3):
        assert verified(TOKEN, keys=source) == approval()
    assert publisher.asked == 1


async def test_keys_are_fetched_in_a_thread_under_asyncio(source: JwksUrl) -> None:
    expected = EXPECTED.copy()
    expected["keys"] = source
    assert await verify_async(TOKEN, seen=AsyncMemory(), **expected) == approval()


def test_a_known_key_does_not_wait_for_one_that_is_not(
    source: JwksUrl, publisher: Publisher, clock: Clock
) -> None:
    source.find(KEYS.kid)
    clock.now += RETRY_S
    publisher.may_answer.clear()
    with ThreadPoolExecutor(2) as pool:
        unknown = pool.submit(source.find, NOBODY)
        try:
            assert publisher.is_asked.acquire(timeout=5)
            assert publisher.is_asked.acquire(timeout=5)
            assert pool.submit(source.find, KEYS.kid).result(2) == KEY.public_key()
            assert not unknown.done()
        finally:
            publisher.may_answer.set()
    assert unknown.result() is None


def test_threads_fetch_keys_once(source: JwksUrl, publisher: Publisher) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(source.find, [KEYS.kid] * 8))
    assert found == [KEY.public_key()] * 8
    assert publisher.asked == 1


def test_a_new_key_is_fetched_when_a_token_names_it(
    source: JwksUrl, publisher: Publisher, clock: Clock
) -> None:
    verified(TOKEN, keys=source)
    publisher.publish(SigningKeys(OTHER_KEY, (KEY.public_key(),)))
    clock.now += RETRY_S
    assert verified(OTHER.sign(approval()), keys=source) == approval()
    assert verified(TOKEN, keys=source) == approval()
    assert publisher.asked == 2


def test_unknown_keys_make_it_ask_no_more_than_every_few_seconds(
    source: JwksUrl, publisher: Publisher, clock: Clock
) -> None:
    assert source.find(NOBODY) is None
    for _ in range(100):
        clock.now += RETRY_S / 101
        # It may have been published since: that is no reason to refuse its tokens for good.
        with pytest.raises(KeysUnavailable, match="not known yet"):
            source.find(NOBODY)
    assert publisher.asked == 1
    clock.now += RETRY_S
    assert source.find(NOBODY) is None
    assert publisher.asked == 2


def test_a_key_that_is_withdrawn_is_trusted_no_longer_than_said(
    source: JwksUrl, publisher: Publisher, clock: Clock
) -> None:
    verified(TOKEN, keys=source)
    publisher.publish(OTHER)
    clock.now += REFRESH_S
    assert verified(TOKEN, keys=source) == approval()
    clock.now += 1
    assert type(refusal(TOKEN, keys=source)) is errors.UnknownKey


def test_known_keys_outlast_an_outage_for_a_while(
    source: JwksUrl, publisher: Publisher, clock: Clock
) -> None:
    verified(TOKEN, keys=source)
    publisher.status = 500
    clock.now += TRUST_S
    assert verified(TOKEN, keys=source) == approval()
    with pytest.raises(KeysUnavailable, match="not known yet"):
        verified(OTHER.sign(approval()), keys=source)
    clock.now += 1
    with pytest.raises(KeysUnavailable, match="500"):
        verified(TOKEN, keys=source)
    publisher.status = 200
    clock.now += RETRY_S
    assert verified(TOKEN, keys=source) == approval()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((404, b"{}"), (503, b"{}"), (200, b""), (200, b"<html>"), (200, b"\xff"), (200, b"[]")),
        *((200, b"[" * 100_000), (200, b"{}"), (200, b'{"keys": {}}')),
    ],
)
def test_without_a_jwks_nothing_is_said_of_the_token(
    source: JwksUrl, publisher: Publisher, status: int, body: bytes
) -> None:
    publisher.status, publisher.body = status, body
    with pytest.raises(KeysUnavailable) as raised:
        verified(TOKEN, keys=source)
    assert publisher.url in str(raised.value)
    assert not isinstance(raised.value, errors.ApprovalRefused)


def test_a_redirect_is_not_followed(source: JwksUrl, publisher: Publisher) -> None:
    publisher.status, publisher.headers = 302, {"Location": publisher.url}
    with pytest.raises(KeysUnavailable, match="302"):
        source.find(KEYS.kid)
    assert publisher.asked == 1


def test_nobody_there_is_an_outage(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(KeysUnavailable):
        JwksUrl(f"http://127.0.0.1:{port}/", clock=clock).find(KEYS.kid)


def test_a_server_that_does_not_answer_is_not_waited_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(KeysUnavailable, match="timed out"):
            JwksUrl(url, timeout=0.05, clock=clock).find(KEYS.kid)


def test_a_connection_that_breaks_is_an_outage(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def answer_half() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
            # What lingers for no time is reset when it is closed.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_half)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(KeysUnavailable):
            JwksUrl(url, clock=clock).find(KEYS.kid)
        thread.join()


@pytest.mark.parametrize("url", ["https://runfold.example/jwks.json", "http://localhost:8080/"])
def test_a_protected_url_is_taken(url: str) -> None:
    JwksUrl(url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://runfold.example/jwks.json", "http://localhost.evil.example/", "ftp://127.0.0.1/"),
        *("http://127.0.0.1@evil.example/", "file:///etc/passwd", "data:application/json,{}"),
        *("/jwks.json", ""),
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        JwksUrl(url)
