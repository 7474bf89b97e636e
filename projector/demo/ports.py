"""Free TCP ports of the loopback interface."""

import socket
from collections.abc import Callable

from projector.demo.server_process import ServerError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listens on at this moment; another process may take it."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether the TCP port of 127.0.0.1 can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def start_on_free_port(start: Callable[[int], None], attempts: int = 5) -> int:
    """Start a server on a free port and return the port.

    Between finding a port and binding it another process may take it: then the next port is
    tried. A start that fails for any other reason is not repeated.
    """
    for attempt in range(1, attempts + 1):
        port = free_port()
        try:
            start(port)
        except ServerError:
            if attempt == attempts or is_free(port):
                raise
        else:
            return port
    raise AssertionError("unreachable: the last attempt returns or raises")
