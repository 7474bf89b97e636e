"""What the embedded servers have in common: one process, one loopback port, kept for good."""

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from projector.demo.ports import LOOPBACK, start_on_free_port
from projector.demo.server_process import ServerProcess


class EmbeddedServer(ABC):
    """A server on a free port of 127.0.0.1, with a temporary directory of its own.

    Used as a context manager it is started on entry; on exit it is gone with its directory.
    Every method may be called from any thread, and none needs an event loop.
    """

    def __init__(self, name: str) -> None:
        self._process = ServerProcess(name)
        self._port: int | None = None

    @abstractmethod
    def _start_on(self, port: int) -> None:
        """Start on this port and wait until the server answers; ServerError when it does not."""

    def _prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """What is done once, before the first start."""

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`; RuntimeError before the first start."""
        if self._port is None:
            raise RuntimeError(f"{self._process.name} has not been started")
        return f"{LOOPBACK}:{self._port}"

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._process.running

    @property
    def log(self) -> Path:
        """What the server wrote; gone with its directory."""
        return self._process.log

    def start(self) -> None:
        """Start on a free port at first, on the same port ever after; returns once it answers.

        ServerError, one line, when the server ends or does not answer in time.
        """
        if self._port is None:
            self._prepare()
            self._port = start_on_free_port(self._start_on)
        else:
            self._start_on(self._port)

    def kill(self) -> None:
        """SIGKILL to the server and everything it started: a crash; its files stay."""
        self._process.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers until `resume`."""
        self._process.pause()

    def resume(self) -> None:
        """SIGCONT: the server goes on where `pause` stopped it."""
        self._process.resume()

    def close(self) -> None:
        """End the server and remove its directory; it cannot be started again."""
        self._process.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
