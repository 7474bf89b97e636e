"""Clients of the stream that do not read: their place is free again, and their connection gone."""

import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing
from itertools import repeat

import psutil
import pytest

from api.routes import stream
from api.stream import response
from tests.api_rows import bearer
from tests.stack.waiting import until
from tests.streams import Served, following, listening

pytestmark = pytest.mark.crash

FRAME = b": " + b"x" * 65_536 + b"\n\n"
ENOUGH = 200
"""Frames that no system keeps for a client that does not read."""


async def endless(*_: object) -> AsyncGenerator[bytes, None]:
    for frame in repeat(FRAME):
        yield frame


async def too_much(*_: object) -> AsyncGenerator[bytes, None]:
    """One part that the server takes and its client does not, and the end."""
    yield FRAME * ENOUGH


@pytest.fixture
async def served(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(response, "SLOWEST_S", 0.5)
    async with listening(database_url, stream_connections=2) as api:
        yield api


def unread(served: Served) -> socket.socket:
    """A connection that asks for the stream and reads nothing of it."""
    host, port = served.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    said = bearer(served.settings)["Authorization"]
    client.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {said}\r\n\r\n".encode())
    return client


def accepted(served: Served) -> int:
    """How many connections the server has open."""
    port = int(served.url.rpartition(":")[2])
    found = psutil.Process().net_connections("tcp")
    return sum(1 for each in found if each.raddr and each.laddr.port == port)


@pytest.mark.parametrize("frames", [endless, too_much])
async def test_a_client_that_does_not_read_loses_its_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch, frames: object
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(stream, "frames", frames)
        with closing(unread(served)), closing(unread(served)):
            await until(lambda: accepted(served) == 2, 10, "two connections")
            await until(lambda: accepted(served) == 0, 10, "no connection")
            patched.undo()
            async with following(served):
                pass  # a place is free
