"""The logins that the compose file creates can do what their services need, and nothing else."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg
import pytest
import yaml

from contracts.read_model import COMMANDER_ROLE, READER_ROLE, WRITER_ROLE
from projector.demo.postgres import BINARIES, EmbeddedPostgres
from projector.migrate import migrate
from projector.operations.audit import audit
from projector.operations.status import status

COMPOSE: Final = Path(__file__).parents[2] / "docker-compose.yml"
WRITE: Final = "DELETE FROM g_main.run"
PASSWORDS: Final = {"runfold_projector": "it's", "runfold_api": '"one"'}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server set up as the compose file sets up its own: its roles are every database's."""
    script = yaml.safe_load(COMPOSE.read_text("utf-8"))["configs"]["logins"]["content"]
    with EmbeddedPostgres() as postgres:
        subprocess.run(
            [BINARIES / "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", postgres.url],
            check=True,
            input=script,
            text=True,
            env={
                "PROJECTOR_PASSWORD": PASSWORDS["runfold_projector"],
                "API_PASSWORD": PASSWORDS["runfold_api"],
            },
        )
        migrate(postgres.url)
        yield postgres


def _url(server: EmbeddedPostgres, login: str) -> str:
    return f"postgresql://{login}:{quote(PASSWORDS[login])}@{server.address}/postgres"


async def test_the_projector_writes_the_views_and_no_schema(server: EmbeddedPostgres) -> None:
    projector = await asyncpg.connect(
        _url(server, "runfold_projector"), server_settings={"role": WRITER_ROLE}
    )
    try:
        await projector.execute(WRITE)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await projector.execute("CREATE TABLE g_main.other ()")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await projector.execute(f"SET ROLE {READER_ROLE}")
    finally:
        await projector.close()


async def test_status_and_audit_work_where_the_worker_runs(server: EmbeddedPostgres) -> None:
    projector = await asyncpg.connect(_url(server, "runfold_projector"))
    try:
        assert (await status(projector, {})).generation == "main"
        assert (await audit(projector)).faults == ()
    finally:
        await projector.close()


@pytest.mark.parametrize("role", [READER_ROLE, COMMANDER_ROLE, "none"])
async def test_the_api_never_writes_a_view(server: EmbeddedPostgres, role: str) -> None:
    api = await asyncpg.connect(_url(server, "runfold_api"), server_settings={"role": role})
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.execute(WRITE)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.execute(f"SET ROLE {WRITER_ROLE}")
    finally:
        await api.close()


async def test_the_api_reads_as_the_reader_only(server: EmbeddedPostgres) -> None:
    api = await asyncpg.connect(_url(server, "runfold_api"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.fetch("SELECT * FROM g_main.run")
        await api.execute(f"SET ROLE {READER_ROLE}")
        assert await api.fetch("SELECT * FROM g_main.run") == []
    finally:
        await api.close()


async def test_the_api_decides_as_the_commander_only(server: EmbeddedPostgres) -> None:
    publish = "UPDATE runfold.command SET published_at = published_at"
    api = await asyncpg.connect(_url(server, "runfold_api"))
    try:
        for role in ("none", READER_ROLE):
            await api.execute(f"SET ROLE {role}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await api.execute(publish)
        await api.execute(f"SET ROLE {COMMANDER_ROLE}")
        assert await api.execute(publish) == "UPDATE 0"
        assert await api.fetch("SELECT * FROM g_main.run") == []
    finally:
        await api.close()
