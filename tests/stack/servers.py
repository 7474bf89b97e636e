"""The embedded servers as tests need them: killed, paused, restarted, and durable or quick."""

import contextlib
import os
import signal
import time

import psutil

from projector.demo import broker, postgres
from projector.demo.process import POLL_SECONDS, EmbeddedServer

QUICK = {"fsync": "off", "full_page_writes": "off"}
DURABLE = {"fsync": "on", "full_page_writes": "on"}


class MortalServer(EmbeddedServer):
    """A server whose end may be brought about; `start` brings it back on the port it had."""

    stop_seconds = 30.0

    def stop(self) -> None:
        self.end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the server and all it started; returns once they are gone."""
        # Stopped first, so that it cannot start another child behind our back.
        os.kill(self.pid, signal.SIGSTOP)
        children = psutil.Process(self.pid).children(recursive=True)
        self.end(signal.SIGKILL)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        while any(_alive(child) for child in children):
            time.sleep(POLL_SECONDS)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it continues where `pause` stopped it."""
        os.kill(self.pid, signal.SIGCONT)


class EmbeddedPostgres(MortalServer, postgres.EmbeddedPostgres):
    """PostgreSQL that waits for its disk unless it need not be `durable`, and asks no password."""

    auth = "trust"

    def __init__(self, *, durable: bool = True) -> None:
        super().__init__()
        self.settings = postgres.EmbeddedPostgres.settings | (DURABLE if durable else QUICK)

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@{self.address}/{database}"

    def stop(self, *, immediate: bool = False) -> None:
        """Write a checkpoint; with `immediate` the next start recovers from the log instead."""
        self.end(signal.SIGQUIT if immediate else signal.SIGINT)


class EmbeddedBroker(MortalServer, broker.EmbeddedBroker):
    """The embedded broker, which is empty when it comes back."""


def _alive(process: psutil.Process) -> bool:
    # A zombie holds nothing any more; when it is reaped is up to the machine's init.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
