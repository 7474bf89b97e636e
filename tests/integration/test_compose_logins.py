"""The logins that the compose file creates can do what their services need, and nothing else."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
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
PASSWORDS: Final = {"PROJECTOR": "it's", "API": '"one"'}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server set up as the compose file sets up its own: its roles are every database's."""
    script = yaml.safe_load(COMPOSE.read_text("utf-8"))["configs"]["logins"]["content"]
    with EmbeddedPostgres() as postgres:
        psql = [str(BINARIES / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", postgres.url]
        said = {f"{who}_PASSWORD": password for who, password in PASSWORDS.items()}
        subprocess.run(psql, check=True, input=script, text=True, env=said)
        migrate(postgres.url)
        yield postgres


@asynccontextmanager
async def logged_in(server: EmbeddedPostgres, who: str) -> AsyncIterator[asyncpg.Connection]:
    url = f"postgresql://runfold_{who.lower()}:{quote(PASSWORDS[who])}@{server.address}/postgres"
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def is_forbidden(connection: asyncpg.Connection, *statements: str) -> None:
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_the_projector_writes_the_views_and_no_schema(server: EmbeddedPostgres) -> None:
    async with logged_in(server, "PROJECTOR") as projector:
        assert (await status(projector, {})).generation == "main"
        assert (await audit(projector)).faults == ()
        await projector.execute(f"SET ROLE {WRITER_ROLE}")
        await projector.execute(WRITE)
        await is_forbidden(projector, "CREATE TABLE g_main.other ()", f"SET ROLE {READER_ROLE}")


async def test_the_api_reads_as_the_reader_decides_as_the_commander_and_writes_no_view(
    server: EmbeddedPostgres,
) -> None:
    publish = "UPDATE runfold.command SET published_at = published_at"
    read = "SELECT * FROM g_main.run"
    async with logged_in(server, "API") as api:
        await is_forbidden(api, read)
        for role in (READER_ROLE, COMMANDER_ROLE, "none"):
            await api.execute(f"SET ROLE {role}")
            await is_forbidden(api, WRITE, f"SET ROLE {WRITER_ROLE}")
            if role == COMMANDER_ROLE:
                assert await api.execute(publish) == "UPDATE 0"
            else:
                await is_forbidden(api, publish)
            if role != "none":
                assert await api.fetch(read) == []
