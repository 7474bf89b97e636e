"""The API in a process of its own, and clients that cost little themselves."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlencode

import psutil

from projector.demo.process import LOOPBACK, free_port
from projector.tokens import make_token
from tests.api_rows import SECRET, settings_for
from tests.command import running
from tests.stack.waiting import until

Query = Mapping[str, Any]


class Client:
    """One connection that is kept, one request at a time."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = (
            f"Host: {LOOPBACK}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def get(self, path: str) -> bytes:
        """The body of an answer that is no error."""
        status, body = await self._ask("GET", path, b"")
        assert status == 200, (path, body)
        return body

    async def status(self, path: str) -> int:
        """The status of an answer, whatever it is."""
        return (await self._ask("GET", path, b""))[0]

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to JSON."""
        return await self._ask("POST", path, body)

    async def _ask(self, method: str, path: str, content: bytes) -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = answer.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return int(answer[9:12]), await self._reader.readexactly(int(length))


class Api:
    """A running API."""

    def __init__(self, port: int, token: str, pid: int) -> None:
        self._port, self._token = port, token
        self._process = psutil.Process(pid)

    def client(self) -> Client:
        """A client that may see and do everything."""
        return Client(self._port, self._token)

    @property
    def resident_bytes(self) -> int:
        """Memory of the process, as it is now."""
        return int(self._process.memory_info().rss)


@asynccontextmanager
async def serving(database_url: str, **variables: str) -> AsyncIterator[Api]:
    """`runfold api` while the block runs."""
    port = free_port()
    token = make_token(settings_for(database_url), "bench", ["*"], ["operator"], 3600)
    said = {
        "RUNFOLD_DATABASE_URL": database_url,
        "RUNFOLD_AUTH_HS256_SECRET": SECRET,
        **variables,
    }
    with running("api", "--port", str(port), variables=said) as process:
        api = Api(port, token, process.pid)

        async def answers() -> bool:
            assert process.poll() is None, "the API has ended"
            try:
                async with api.client() as client:
                    return bool(await client.get("/healthz"))
            except OSError:
                return False

        await until(answers, 60, "an answer of the API")
        yield api
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


def path(route: str, query: Query) -> str:
    """A route with its parameters; a list is a repeated one, None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{route}?{urlencode(given, doseq=True)}" if given else route
