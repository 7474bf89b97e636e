"""A disk so small that it gets full, for the tables of one database."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

ROOM_BYTES = 65_536


class SmallDisk:
    """A file system in memory that holds what is created in the database from now on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def mount(self, uid: int) -> None:
        """Mount it for this user, with room enough. Skips the test where that cannot be done."""
        self._directory.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size=64m,uid={uid},mode=0700", "tmpfs"]
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("only root can mount a small disk")
        if subprocess.run([*command, self._directory], check=False, capture_output=True).returncode:
            pytest.skip("a small disk cannot be mounted here")

    def fill(self) -> None:
        """Leave next to no room."""
        self._resize(shutil.disk_usage(self._directory).used + ROOM_BYTES)

    def empty(self) -> None:
        """Make room again."""
        self._resize(64 * 1_048_576)

    def unmount(self) -> None:
        """Take it away."""
        subprocess.run(["umount", self._directory], check=True)
        self._directory.rmdir()

    def _resize(self, size: int) -> None:
        command = ["mount", "-o", f"remount,size={size}", str(self._directory)]
        subprocess.run(command, check=True, capture_output=True)


@asynccontextmanager
async def small_disk(
    connection: asyncpg.Connection, database_url: str, directory: Path
) -> AsyncIterator[SmallDisk]:
    """A small disk while the block runs; by its end all that is on it must be dropped."""
    server = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
    disk, database = SmallDisk(directory), urlsplit(database_url).path.lstrip("/")
    disk.mount(server.uids().real)
    name = f"small_{database}"
    try:
        await connection.execute(f"CREATE TABLESPACE \"{name}\" LOCATION '{directory}'")
        await connection.execute(f'ALTER DATABASE "{database}" SET default_tablespace = "{name}"')
        yield disk
        await connection.execute(f'ALTER DATABASE "{database}" RESET default_tablespace')
        await connection.execute(f'DROP TABLESPACE "{name}"')
    finally:
        disk.unmount()
