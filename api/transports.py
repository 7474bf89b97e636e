"""A connection ended without its client: no server waits for one that does not read.

A server that closes a connection first waits until the client has taken what was sent. The
transport under a response is not part of ASGI, but uvicorn's `send` belongs to what holds it.
"""

import asyncio
from typing import Any, Final

from starlette.types import Scope, Send

KEY: Final = "runfold.transport"
POLL_S: Final = 0.1


def remember(scope: Scope, send: Send) -> None:
    """Keep the transport under a response with its request; `send` must be the server's own."""
    scope[KEY] = getattr(getattr(send, "__self__", None), "transport", None)


async def abort(scope: Scope) -> None:
    """End the connection at once, and drop what its client has not taken."""
    transport: Any = scope.get(KEY)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0)  # in which the server gets to know


async def taken(scope: Scope) -> None:
    """Wait until the client, or the system for it, has taken all that was sent."""
    transport: Any = scope.get(KEY)
    # a transport tells nobody but the server when it has room
    while transport is not None and transport.get_write_buffer_size():  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
