"""Requests that no application sees: a head without an end, and what is no HTTP."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from api.http import MAX_HEAD_BYTES
from tests.api_rows import problem_of
from tests.streams import listening

HEAD = b"GET /healthz HTTP/1.1\r\nHost: here\r\n"
LONG = b"a" * (MAX_HEAD_BYTES + 1)


@pytest.fixture
async def url(database_url: str) -> AsyncIterator[str]:
    async with listening(database_url) as served:
        yield served.url


async def answer(url: str, sent: bytes) -> bytes:
    """All that is answered to these bytes until the server closes the connection."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(sent)
    async with asyncio.timeout(30):
        answered = await reader.read()
    writer.close()
    return answered


def read(answered: bytes) -> httpx.Response:
    head, _, body = answered.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", maxsplit=1)) for line in lines]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HEAD + b"X-Filler: " + LONG, id="a header"),
        pytest.param(HEAD + 70 * (b"X-Filler: " + b"a" * 1_000 + b"\r\n"), id="many headers"),
        pytest.param(b"GET /" + LONG, id="a path"),
    ],
)
async def test_a_head_without_an_end_is_refused(url: str, sent: bytes) -> None:
    refusal = read(await answer(url, sent))
    problem_of(refusal, 431, "headers_too_large")
    assert refusal.headers["connection"] == "close"


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
