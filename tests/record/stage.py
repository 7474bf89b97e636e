"""Where the record touches runfold: its commands, HTTP, and one table that is waited for.

Only `conftest` and `calling` import from the packages, the servers of all tests and the command;
so what is moved or written anew in them changes nothing here.
"""

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.command import runfold, running
from tests.stack import databases
from tests.stack.topics import Record, send
from tests.stack.waiting import until

SECRET: Final = "the record's secret, of thirty-two bytes and more"
PROJECTED: Final = "SELECT coalesce(sum(next_offset), 0)::bigint FROM g_main.position"
DEADLINE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL and the broker are, and the migrated database that others are made of."""

    postgres: Any
    bootstrap: str
    template: str

    @contextmanager
    def database(self, template: str = "") -> Iterator[str]:
        """The name of a database, a copy of another one."""
        name, url = f"record_{uuid4().hex}", self.postgres.url
        asyncio.run(databases.clone_database(url, template or self.template, name))
        try:
            yield name
        finally:
            asyncio.run(databases.drop_database(url, name))

    def variables(self, database: str, prefix: str) -> dict[str, str]:
        """The settings of all commands, of the API too where it publishes."""
        return {
            "RUNFOLD_DATABASE_URL": self.postgres.url_of(database),
            "RUNFOLD_KAFKA_BOOTSTRAP": self.bootstrap,
            "RUNFOLD_TOPIC_PREFIX": prefix,
            "RUNFOLD_GROUP_ID": f"{prefix}{database}",
            "RUNFOLD_PARTITIONS": "2",
            "RUNFOLD_LOG_FORMAT": "json",
        }


def api_variables(database_url: str, directory: Path | None = None) -> dict[str, str]:
    """The settings of an API; it signs, always with the same key, where it has a directory."""
    variables = {"RUNFOLD_DATABASE_URL": database_url, "RUNFOLD_AUTH_HS256_SECRET": SECRET}
    if directory is not None:
        key = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
        path = directory / "approval-key.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        variables["RUNFOLD_APPROVAL_KEY"] = str(path)
    return variables


def token(sub: str | None, secret: str = SECRET, **claims: Any) -> str:
    """A bearer token; a claim that is None is left out."""
    said = {"iss": "runfold", "aud": "runfold", "sub": sub, "exp": int(time.time()) + 3600}
    present = {name: value for name, value in (said | claims).items() if value is not None}
    return jwt.encode(present, secret, algorithm="HS256")


def done(*arguments: str, variables: Mapping[str, str], stdin: bytes = b"") -> None:
    finished = runfold(*arguments, variables=variables, stdin=stdin)
    assert finished.status == 0, finished


@contextmanager
def _ending_well(
    *arguments: str, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with running(*arguments, variables=variables) as process:
        yield process
        process.terminate()
        _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, said.decode()


@contextmanager
def projecting(variables: Mapping[str, str]) -> Iterator[None]:
    with _ending_well("projector", variables=variables):
        yield


@contextmanager
def serving(variables: Mapping[str, str]) -> Iterator[httpx.Client]:
    """A client of an API of its own, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        _ending_well("api", "--port", str(port), variables=variables) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as client,
    ):

        def answers() -> bool:
            assert server.poll() is None, server.communicate()
            with suppress(httpx.TransportError):
                return client.get("/healthz").is_success
            return False

        wait(answers, "the API to answer")
        yield client


def fill(variables: Mapping[str, str], history: bytes, bad: Sequence[Record]) -> None:
    """Have the worker project a history, and then what is bad, one partition after the other.

    So the dead letters come in one order.
    """
    done("publish", "-", variables=variables, stdin=history)
    count = history.count(b"\n")

    async def is_projected() -> bool:
        async with asyncpg.create_pool(variables["RUNFOLD_DATABASE_URL"], min_size=1) as pool:
            return bool(await pool.fetchval(PROJECTED) == count)

    wait(is_projected, "the history in the views")
    for place in dict.fromkeys((each.topic, each.partition) for each in bad):
        part = [each for each in bad if (each.topic, each.partition) == place]
        asyncio.run(send(variables["RUNFOLD_KAFKA_BOOTSTRAP"], part))
        count += len(part)
        wait(is_projected, "what is bad in the dead letters")


def wait(condition: Callable[[], object], what: str) -> None:
    asyncio.run(until(condition, DEADLINE_S, what))
