"""HTTP below the application: how long a request's head may be, and how connections end."""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.problems import Problem

MAX_HEAD_BYTES: Final = 65_536
"""Most bytes of a request's path and headers, those after its body included. What is read at once
is parsed before it is counted."""

TRANSPORT: Final = "runfold.transport"
"""Where a request's scope has its connection's transport, which is not part of ASGI."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Uvicorn keeps the headers of a request that never ends, and answers what is
    not HTTP with plain text: here the first is rejected, and the second gets a problem like any
    other. When the server ends, so do the streams, which would never end by themselves.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_head = self._is_counted = False
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse what the client has sent, unless the head it belongs to is too long by then."""
        self._is_counted = False
        super().data_received(data)
        if not self._is_counted:  # the parser keeps it until the end of a header or of a path
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            detail = f"the request line and the headers have more than {MAX_HEAD_BYTES} bytes"
            self._reject(Problem(431, "headers_too_large", detail))

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self._is_head, self._head_bytes = True, 0
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        """Read a part of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header; one that comes after the body is ignored."""
        self._count(len(name) + len(value))
        if self._is_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to serve a request."""
        self._is_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Read a part of the body."""
        self._is_counted = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that a request is complete."""
        self._is_counted = True
        super().on_message_complete()

    def shutdown(self) -> None:
        """End all streams, then this connection when its request is answered."""
        feed = self.app_state.get("feed")
        if feed is not None:
            feed.close()
        super().shutdown()

    def _count(self, size: int) -> None:
        self._is_counted = True
        self._head_bytes += size

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._reject(Problem(400, "invalid_http", msg))

    def _reject(self, problem: Problem) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # what was written now would be taken for another's answer
            return
        response = problem.response()
        headers = [*self.server_state.default_headers, *response.raw_headers]
        head = [STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % each for each in headers)]
        head += [b"connection: close\r\n\r\n", bytes(response.body)]
        self.transport.write(b"".join(head))
        self.transport.close()
