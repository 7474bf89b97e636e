"""One server run as a child process: awaited, stopped, killed."""

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from contracts.errors import OperationError
from projector.demo.lifeline import Lifeline

_POLL_S = 0.02
_LOG_TAIL_BYTES = 4096


class ServerError(OperationError):
    """An embedded server could not be started; the message is one line for people."""


class ServerProcess:
    """A temporary directory and the server that runs in it, in a session of its own.

    Being in its own session the server does not see the terminal's Ctrl-C: the owner decides
    when it ends. A lifeline ends it and removes the directory should the owner be killed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"runfold-{name.lower().replace(' ', '-')}-"))
        self.log = self.directory / "server.log"
        self._lifeline = Lifeline(self.directory)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the server has been spawned and has not ended since."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server; RuntimeError when it is not running."""
        if self._child is None or self._child.poll() is not None:
            raise RuntimeError(f"{self.name} is not running")
        return self._child.pid

    def spawn(self, command: Sequence[str | Path], *, user: str | None = None) -> None:
        """Run the command, as `user` if given, its output appended to the log.

        OSError when it cannot be run.
        """
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                start_new_session=True,
            )
        self._lifeline.guard(self._child.pid)

    def wait_until(self, ready: Callable[[], bool], deadline_s: float) -> None:
        """Return once `ready` is true.

        ServerError when the server ends first or `deadline_s` seconds pass.
        """
        give_up = time.monotonic() + deadline_s
        while not ready():
            if not self.running:
                raise ServerError(f"{self.name} ended while starting: {self.last_log_line()}")
            if time.monotonic() > give_up:
                raise ServerError(
                    f"{self.name} was not ready within {deadline_s:g} s: {self.last_log_line()}"
                )
            time.sleep(_POLL_S)

    def end(self, how: signal.Signals, deadline_s: float) -> None:
        """Ask the server to end with the signal `how`; kill it after `deadline_s` seconds."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(how)
            try:
                self._child.wait(deadline_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._lifeline.release()

    def kill(self) -> None:
        """SIGKILL to the server and everything it started; returns once all are gone."""
        if self._child is not None and self._child.poll() is None:
            # Stopped first, so that it cannot start another child behind our back.
            self._child.send_signal(signal.SIGSTOP)
            children = psutil.Process(self._child.pid).children(recursive=True)
            self._child.kill()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            self._child.wait()
            while any(_alive(child) for child in children):
                time.sleep(_POLL_S)
        self._lifeline.release()

    def pause(self) -> None:
        """SIGSTOP: the server keeps its connections and answers nothing until `resume`."""
        psutil.Process(self.pid).suspend()

    def resume(self) -> None:
        """SIGCONT: the server goes on where `pause` stopped it."""
        psutil.Process(self.pid).resume()

    def close(self) -> None:
        """Kill what still runs and remove the directory; closing again does nothing."""
        if not self._lifeline.closed:
            self.kill()
            self._lifeline.close()

    def listens_on(self, port: int) -> bool:
        """Whether this very process (and no stranger) listens on the TCP port."""
        if not self.running:
            return False
        connections = psutil.Process(self.pid).net_connections(kind="tcp")
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)

    def last_log_line(self) -> str:
        """The last line the server wrote that says something, for an error message."""
        if not self.log.exists():
            return "it wrote nothing"
        text = self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "it wrote nothing"


def _alive(process: psutil.Process) -> bool:
    # A zombie holds nothing any more; when it is reaped is up to the machine's init.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
