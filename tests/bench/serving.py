"""The API in a process of its own, and clients that cost little themselves."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psutil

from projector.demo.process import LOOPBACK, free_port
from projector.tokens import make_token
from tests.api_rows import SECRET, settings_for
from tests.command import running
from tests.stack.waiting import until


@dataclass(frozen=True, slots=True)
class Client:
    """One connection that is kept, one request at a time."""

    reader: StreamReader
    writer: StreamWriter
    headers: str

    async def get(self, path: str) -> bytes:
        status, body = await self.ask("GET", path)
        assert status == 200, (path, body)
        return body

    async def ask(self, method: str, path: str, content: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\n{self.headers}Content-Length: {len(content)}\r\n\r\n"
        self.writer.write(head.encode() + content)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = answer.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return int(answer[9:12]), await self.reader.readexactly(int(length))


@dataclass(frozen=True, slots=True)
class Api:
    port: int
    headers: str
    process: psutil.Process

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client that may see and do everything."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        yield Client(reader, writer, self.headers)
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def serving(database_url: str, **variables: str) -> AsyncIterator[Api]:
    port = free_port()
    token = make_token(settings_for(database_url), "bench", ["*"], ["operator"], 3600)
    headers = f"Host: {LOOPBACK}\r\nAuthorization: Bearer {token}\r\n"
    headers += "Content-Type: application/json\r\n"
    given = {"RUNFOLD_DATABASE_URL": database_url, "RUNFOLD_AUTH_HS256_SECRET": SECRET}
    with running("api", "--port", str(port), variables=given | variables) as process:
        api = Api(port, headers, psutil.Process(process.pid))

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


def path(route: str, query: Mapping[str, Any]) -> str:
    """A route with its parameters; a list is a repeated one."""
    return f"{route}?{urlencode(query, doseq=True)}"
