"""Servers as child processes on loopback, which never outlive the process that started them."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import psutil

from contracts.errors import OperationError

LOOPBACK: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
_ATTEMPTS: Final = 5

# The kernel's parent-death signal is tied to the thread that started a child; this is tied to the
# process. Removal is repeated because what a killed server leaves behind may still be writing.
_WATCH: Final = """
while read -r group; do running=$group; done
[ -z "$running" ] || kill -s KILL -- "-$running"
for attempt in 1 2 3 4 5; do rm -rf -- "$1" && break; sleep 1; done
"""


class ServerError(OperationError):
    """A server could not be started."""


class Watchdog:
    """A shell that kills a process group and removes a directory when its owner ends, however.

    It reads a pipe that only the owner writes to, and which closes when the owner ends.
    """

    def __init__(self, directory: Path) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "watchdog", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def guard(self, group: int | None) -> None:
        """Watch over this process group instead of the one before; None once it has ended."""
        if self._shell.stdin is not None:
            self._shell.stdin.write(b"%d\n" % group if group else b"\n")
            self._shell.stdin.flush()

    def close(self) -> None:
        """Do what the owner's end would; returns once the directory is removed."""
        self._shell.communicate()


class Child:
    """A process in a session and a temporary directory of its own; both end with the block.

    The terminal's Ctrl-C does not reach it: its owner decides when it ends.
    """

    stop_seconds: ClassVar[float] = 5.0
    """So long it may take to end when told to; then it is killed."""

    def __init__(self, name: str, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix="runfold-"))
        self.log = self.directory / "server.log"
        self._stop_signal = stop_signal
        self._watchdog = Watchdog(self.directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process; RuntimeError before it has been started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process.pid

    def spawn(self, *command: str | Path, **options: Any) -> None:
        """Run the command with these options of `Popen`, its output appended to the log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
                **options,
            )
        self._watchdog.guard(self._process.pid)

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once `ready()`; ServerError, one line, when the process ends or takes too long."""
        give_up = time.monotonic() + START_SECONDS
        while not ready():
            if not self.running or time.monotonic() > give_up:
                happened = "is not ready" if self.running else "ended while starting"
                raise ServerError(f"{self.name} {happened}: {self._last_words()}")
            time.sleep(POLL_SECONDS)

    def end(self, how: signal.Signals | None = None) -> None:
        """Signal the process to end and wait until it has; kill it when it takes too long."""
        if self._process is not None and self.running:
            self._process.send_signal(how or self._stop_signal)
            try:
                self._process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._watchdog.guard(None)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._watchdog.close()


class EmbeddedServer(Child, ABC):
    """A server on a free port of 127.0.0.1 while the block runs; it answers when that begins."""

    port: int | None = None

    @abstractmethod
    def launch(self, port: int) -> None:
        """Start on this port, and return once the server answers; ServerError when it does not."""

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start on a free port, or on the same one again."""
        if self.port is not None:
            self.launch(self.port)
            return
        for attempt in range(1, _ATTEMPTS + 1):
            port = free_port()
            try:
                self.launch(port)
            except ServerError:
                # Between its being found and its being bound another process may take a port.
                if attempt == _ATTEMPTS or is_free(port):
                    raise
            else:
                self.port = port
                return

    def listens_on(self, port: int) -> bool:
        """Whether this very process (and not another one) listens on the TCP port."""
        if not self.running:
            return False
        connections = psutil.Process(self.pid).net_connections(kind="tcp")
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
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
