"""HTTP below the application: heads without an end, what is no HTTP, clients that do not read."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing
from itertools import repeat
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import pytest_asyncio

from api import stream
from api.http import MAX_HEAD_BYTES
from api.routes import stream as route
from tests.api_rows import bearer, problem_of
from tests.stack.waiting import until
from tests.streams import Served, following, listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = b"GET /healthz HTTP/1.1\r\nHost: here\r\n"
LONG = b"a" * (MAX_HEAD_BYTES + 1)
FILLER = b"X-Filler: " + b"a" * 1_000 + b"\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with listening("postgresql://127.0.0.1:1/nowhere") as served:
        yield served.url


async def answer(url: str, sent: bytes) -> bytes:
    """All that is answered to these bytes until the server closes the connection."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()


def read(answered: bytes) -> httpx.Response:
    head, _, body = answered.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", maxsplit=1)) for line in lines]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)  # type: ignore[arg-type]


async def test_what_is_no_request_is_a_problem(url: str) -> None:
    problem_of(read(await answer(url, b"nonsense\r\n\r\n")), 400, "invalid_http")
    for sent in (HEAD + 70 * FILLER, b"GET /" + LONG):
        refusal = read(await answer(url, sent))
        problem_of(refusal, 431, "headers_too_large")
        assert refusal.headers["connection"] == "close"
    try:
        answered = await answer(url, HEAD + b"X-Filler: " + 50 * LONG)
    except ConnectionResetError:
        pass  # it is read in parts, of which some may be unread when the connection is closed
    else:
        problem_of(read(answered), 431, "headers_too_large")


async def test_only_heads_are_bounded_and_each_for_itself(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(2):
            posted = await http.post("/healthz", content=3 * LONG)
            assert posted.status_code == 405
            assert (await http.get("/healthz")).status_code == 200
        for _ in range(2 * MAX_HEAD_BYTES // 8_000):
            asked = await http.get("/healthz", headers={"X-Filler": "a" * 8_000})
            assert asked.status_code == 200
    last = HEAD + b"Connection: close\r\n\r\n"
    answered = await answer(url, 45 * (HEAD + 2 * FILLER + b"\r\n") + last)
    assert answered.count(b"HTTP/1.1 200 OK") == 46
    # headers after a body are bounded too
    chunked = b"POST /healthz HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    answered = await answer(url, chunked + 70 * FILLER)
    assert not answered or read(answered).status_code in {405, 431}


async def endless(*_: object) -> AsyncGenerator[bytes, None]:
    for frame in repeat(b": " + b"x" * 65_536 + b"\n\n"):
        yield frame


async def too_much(*_: object) -> AsyncGenerator[bytes, None]:
    """One part that the server takes and no system keeps for its client, and the end."""
    yield b": " + b"x" * 13_000_000 + b"\n\n"


def unread(served: Served) -> socket.socket:
    """A connection that asks for the stream and reads nothing of it."""
    place = urlsplit(served.url)
    client = socket.create_connection((place.hostname, place.port))
    said = bearer(served.settings)["Authorization"]
    client.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {said}\r\n\r\n".encode())
    return client


@pytest.mark.crash
@pytest.mark.parametrize("frames", [endless, too_much])
async def test_a_client_that_does_not_read_loses_its_connection(
    shared_url: str, monkeypatch: pytest.MonkeyPatch, frames: object
) -> None:
    monkeypatch.setattr(stream, "SLOWEST_S", 0.5)
    async with listening(shared_url, stream_connections=2) as served:
        port = urlsplit(served.url).port

        def accepted() -> int:
            found = psutil.Process().net_connections("tcp")
            return sum(1 for each in found if each.raddr and each.laddr.port == port)

        with monkeypatch.context() as patched:
            patched.setattr(route, "frames", frames)
            with closing(unread(served)), closing(unread(served)):
                await until(lambda: accepted() == 2, 10, "two connections")
                await until(lambda: accepted() == 0, 10, "no connection")
                patched.undo()
                async with following(served):
                    pass  # a place is free
