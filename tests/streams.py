"""An API on a port of this machine, a client that follows its stream, and what it is told of."""

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import uvicorn

from api.app import create_app
from api.settings import ApiSettings
from tests.api_rows import bearer, settings_for
from tests.applying import Worker
from tests.records import record
from tests.unit.event_samples import least

DEADLINE_S = 20
COUNT = itertools.count(1)
"""Of platforms and of events, so that no two of a process are the same."""


class Told(NamedTuple):
    """One server-sent event."""

    place: str
    event: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """Where the API is."""

    url: str
    settings: ApiSettings


@asynccontextmanager
async def listening(database_url: str, **others: Any) -> AsyncIterator[Served]:
    """An API in a thread of its own, where a response can be read while it is made."""
    settings = settings_for(database_url, **others)
    socket_ = socket.create_server(("127.0.0.1", 0))
    # what uvicorn would do to the standard loggers stays with the process
    how: dict[str, Any] = {"log_config": None, "timeout_graceful_shutdown": 5}
    config = uvicorn.Config(create_app(settings), http="api.http:BoundedHttp", **how)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([socket_],))
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{socket_.getsockname()[1]}", settings)
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join)


class Client:
    """Reads a stream as an event source does."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self.place = ""
        """What an event source would send as `Last-Event-ID`."""
        self.comments: list[str] = []
        self._lines = lines

    async def next(self) -> Told:
        """The next event. Raises `EOFError` at the end, AssertionError when none comes."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while (found := await self._block()) is None:
                    pass
                return found
        except TimeoutError:
            raise AssertionError("waited for an event") from None

    async def runs(self, count: int) -> list[Told]:
        told = [await self.next() for _ in range(count)]
        assert {each.event for each in told} <= {"run"}, told
        return told

    async def comment(self) -> str:
        """The next comment; no event may come before it."""
        known = len(self.comments)
        async with asyncio.timeout(DEADLINE_S):
            while len(self.comments) == known:
                assert await self._block() is None
        return self.comments[-1]

    async def _block(self) -> Told | None:
        event, data = "message", ""
        async for line in self._lines:
            if not line:
                return Told(self.place, event, json.loads(data)) if data else None
            name, _, value = line.partition(":")
            match name:
                case "":
                    self.comments.append(value.strip())
                case "id":
                    self.place = value.strip()
                case "event":
                    event = value.strip()
                case "data":
                    data += value.strip()
        raise EOFError


@asynccontextmanager
async def following(
    served: Served, *projects: str, place: str | None = None, seconds: int = 3600, **query: str
) -> AsyncIterator[Client]:
    """A client that has been told that it follows; `projects` are those of its token."""
    headers = bearer(served.settings, projects or ("*",), seconds=seconds)
    if place is not None:
        headers["Last-Event-ID"] = place
    async with (
        httpx.AsyncClient(base_url=served.url, timeout=DEADLINE_S) as http,
        http.stream("GET", "/v1/stream", params=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Client(answer.aiter_lines())


class Platform:
    """Says what runs of its own are in, one event at a time."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._first = next(COUNT) << 32

    def id(self, number: int) -> str:
        return str(UUID(int=self._first + number))

    async def runs(self, *numbers: int, state: str = "running", project: str = "p0") -> None:
        """One poll with one event for each of these runs."""
        about = {"state": state, "project_id": project}
        await self.poll("run-state", *({"run_id": self.id(n), **about} for n in numbers))

    async def poll(self, suffix: str, *events: dict[str, Any]) -> None:
        """One poll with these events, newer than all before them."""
        partition = next(COUNT)
        version = {"entityversion": partition}
        records = [
            record(suffix, offset, least(suffix, **fields) | version, partition)
            for offset, fields in enumerate(events)
        ]
        await self.worker.own(records)
        await self.worker.poll(records)


async def next_of(client: Client, platform: Platform) -> tuple[int, str]:
    """The next thing told: the number of a run, and its state."""
    told = await client.next()
    return UUID(told.data["run_id"]).int - UUID(platform.id(0)).int, told.data["state"]


async def nothing_but(client: Client, platform: Platform, number: int) -> None:
    """The next thing told is this run's next change: nothing else was to be told."""
    await platform.runs(number, state="only")
    assert await next_of(client, platform) == (number, "only")
