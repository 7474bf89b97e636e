"""HTTP below the application: how long a request's head may be, and what is no request at all."""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.problems import Problem

MAX_HEAD_BYTES: Final = 65_536
"""Most bytes of a request's line and headers, give or take what is read at once."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Uvicorn keeps the headers of a request that never ends, and answers what is
    no HTTP with plain text: here the one is refused and the other a problem like any other.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_head = False
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take in what the client has sent; no more of a head that is too long by then."""
        super().data_received(data)
        if self._is_head:
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            detail = f"the request line and the headers have more than {MAX_HEAD_BYTES} bytes"
            self._refuse(Problem(431, "headers_too_large", detail))

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self._is_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to serve a request."""
        self._is_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(Problem(400, "invalid_http", msg))

    def _refuse(self, problem: Problem) -> None:
        response = problem.response()
        headers = [*response.raw_headers, (b"connection", b"close")]
        head = [STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % each for each in headers)]
        self.transport.write(b"".join([*head, b"\r\n", response.body]))
        self.transport.close()
