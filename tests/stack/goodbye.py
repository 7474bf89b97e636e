"""A way to PostgreSQL on which the server says goodbye, and closes when next spoken to.

That is what a client sees for an instant when a server is stopped or killed; here it lasts.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_FIELDS = (b"SFATAL", b"VFATAL", b"C57P01", b"Mterminating connection due to administrator command")
_BODY = b"\0".join(_FIELDS) + b"\0\0"
FATAL = b"E" + (len(_BODY) + 4).to_bytes(4, "big") + _BODY


class Goodbyes:
    """The connections that go this way; `url` is the database's, this way."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self._to = urlsplit(database_url)
        self._clients: set[StreamWriter] = set()

    async def said(self) -> None:
        """Have the server's last words reach every client of this event loop."""
        for client in self._clients:
            client.write(FATAL)
        self._clients.clear()
        # one turn of the loop to find what has come, one to take it in
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def connected(self, fro: StreamReader, client: StreamWriter) -> None:
        there, server = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._clients.add(client)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(fro, server, client))
                both.create_task(self._pass_on(there, client, client))
        finally:
            self._clients.discard(client)

    async def _pass_on(self, fro: StreamReader, to: StreamWriter, client: StreamWriter) -> None:
        with suppress(ConnectionError):
            while (data := await fro.read(65_536)) and client in self._clients:
                to.write(data)
                await to.drain()
        client.close()
        to.close()


@asynccontextmanager
async def goodbyes(database_url: str) -> AsyncIterator[Goodbyes]:
    way = Goodbyes(database_url)
    async with await asyncio.start_server(way.connected, "127.0.0.1", 0) as server:
        address = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        way.url = urlsplit(database_url)._replace(netloc=f"postgres@{address}").geturl()
        yield way
