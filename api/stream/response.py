"""A response that goes on until its events end, its client goes, or its client stops reading."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api import transports

SLOWEST_S: Final = 30.0
"""How long a client may take to make room for more before it is taken to be gone."""


class EventStream(StreamingResponse):
    """Server-sent events; `resources` are given back when it ends, however it does."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes, None], resources: ExitStack) -> None:
        # proxies that gather a response before they pass it on would gather for ever
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(frames, headers=headers)
        self._frames = frames
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; the connection is gone too before the resources are given back."""
        with self._resources:
            try:
                await super().__call__(scope, receive, send)
                await asyncio.wait_for(transports.taken(scope), SLOWEST_S)
            except TimeoutError:
                await transports.abort(scope)

    async def stream_response(self, send: Send) -> None:
        """Send what comes. Raises TimeoutError when a part takes unreasonably long."""
        started = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await _in_time(send, started)
        async with aclosing(self._frames) as frames:
            async for frame in frames:
                await _in_time(send, _body(frame, more=True))
        await _in_time(send, _body(b"", more=False))


async def _in_time(send: Send, message: Message) -> None:
    async with asyncio.timeout(SLOWEST_S):
        await send(message)


def _body(content: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}
