"""Requests that no application sees: a head without an end, and what is no HTTP."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from api.http import MAX_HEAD_BYTES
from tests.api_rows import problem_of
from tests.streams import listening

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


@pytest.mark.parametrize("sent", [HEAD + 70 * FILLER, b"GET /" + LONG], ids=["headers", "path"])
async def test_a_head_without_an_end_is_refused(url: str, sent: bytes) -> None:
    refusal = read(await answer(url, sent))
    problem_of(refusal, 431, "headers_too_large")
    assert refusal.headers["connection"] == "close"


async def test_a_header_without_an_end_is_not_kept(url: str) -> None:
    """It is read in parts, of which some may be unread when the connection is closed."""
    try:
        answered = await answer(url, HEAD + b"X-Filler: " + 50 * LONG)
    except ConnectionResetError:
        return
    problem_of(read(answered), 431, "headers_too_large")


async def test_what_is_no_http_is_told_so_as_a_problem(url: str) -> None:
    problem_of(read(await answer(url, b"nonsense\r\n\r\n")), 400, "invalid_http")


async def test_only_heads_are_bounded(url: str) -> None:
    """One connection: a request for each of two long bodies, and others after them."""
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(2):
            posted = await http.post("/healthz", content=3 * LONG)
            assert posted.status_code == 405
            assert (await http.get("/healthz")).status_code == 200
        for _ in range(2 * MAX_HEAD_BYTES // 8_000):
            asked = await http.get("/healthz", headers={"X-Filler": "a" * 8_000})
            assert asked.status_code == 200


async def test_many_requests_at_once_are_many_heads(url: str) -> None:
    one = HEAD + b"X-Filler: " + b"a" * 2_000 + b"\r\n\r\n"
    last = HEAD + b"Connection: close\r\n\r\n"
    answered = await answer(url, 45 * one + last)
    assert answered.count(b"HTTP/1.1 200 OK") == 46


async def test_headers_after_a_body_are_bounded_too(url: str) -> None:
    chunked = b"POST /healthz HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    answered = await answer(url, chunked + 70 * FILLER)
    assert not answered or read(answered).status_code in {405, 431}
