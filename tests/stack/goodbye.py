"""A way to PostgreSQL on which the server says goodbye, and closes when next spoken to.

That is what a client sees for an instant when a server is stopped or killed; here it lasts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_FIELDS = (b"SFATAL", b"VFATAL", b"C57P01", b"Mterminating connection due to administrator command")
_BODY = b"\0".join(_FIELDS) + b"\0\0"
FATAL = b"E" + (len(_BODY) + 4).to_bytes(4, "big") + _BODY


class Goodbyes:
    """The connections that go this way."""

    def __init__(self, database_url: str) -> None:
        self._to = urlsplit(database_url)
        self._clients: set[asyncio.StreamWriter] = set()
        self.url = ""
        """The database's URL, this way."""

    async def said(self) -> None:
        """Have the server's last words reach every client of this event loop."""
        for client in self._clients:
            client.write(FATAL)
        self._clients.clear()
        # one turn of the loop to find what has come, one to take it in
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Goodbyes"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            self.url = self._to._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()
            yield self

    async def _connected(self, fro: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        there, server = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._clients.add(client)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(fro, server, client))
                both.create_task(self._pass_on(there, client, client))
        finally:
            self._clients.discard(client)

    async def _pass_on(
        self,
        fro: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        with suppress(ConnectionError):
            while (data := await fro.read(65_536)) and client in self._clients:
                to.write(data)
                await to.drain()
        client.close()
        to.close()


@asynccontextmanager
async def goodbyes(database_url: str) -> AsyncIterator[Goodbyes]:
    """A way to this database, for as long as the block runs."""
    async with Goodbyes(database_url).open() as way:
        yield way
