"""The OpenAPI document is true: schemathesis asks the running API whatever it allows, and more."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, assume, settings

from api.app import create_app
from projector.demo.postgres import EmbeddedPostgres
from tests.api_rows import bearer, of_history, project, settings_for
from tests.histories import history
from tests.stack import databases

# Which cursor is good depends on what was asked before, and a record may be waited for in vain:
# both have tests of their own.
OPEN_ENDED = {"cursor", "wait_for", "wait_timeout"}
LONGEST_URL = 32_768


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, database_template: str) -> Iterator[str]:
    """A database that a history with bad records in it has filled."""
    name = f"test_{uuid4().hex}"
    url = postgres.url_of(name)
    asyncio.run(databases.clone_database(postgres.url, database_template, name))
    asyncio.run(project(url, of_history(history(3, 400, bad=True))))
    asyncio.run(report(url))
    yield url
    asyncio.run(databases.drop_database(postgres.url, name))


async def report(url: str) -> None:
    """Have a worker say that it is there, once for the whole of the test."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        """
        INSERT INTO runfold.worker (worker_id, host, pid, generation, partitions, seen_at)
        VALUES ('w1', 'h1', 1, 'main', $1, 'infinity')
        """,
        '[{"topic": "awooop.run-state", "partition": 0, "end": 500, "events_per_second": 1.5}]',
    )
    await connection.close()


@pytest.fixture(scope="module")
def server(database: str) -> Iterator[str]:
    """The URL of the API, served as ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings_for(database))
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=running.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    running.should_exit = True
    thread.join()


SETTINGS = settings_for("postgresql://127.0.0.1/nowhere")


def document() -> dict[str, Any]:
    """What the API says of itself, without the parameters that are open-ended."""
    document = create_app(SETTINGS).openapi()
    # Its answer has no end, so that no client could validate it as a whole.
    del document["paths"]["/v1/stream"]
    for path in document["paths"].values():
        for operation in path.values():
            known = operation.get("parameters", [])
            operation["parameters"] = [each for each in known if each["name"] not in OPEN_ENDED]
    return document


schema = schemathesis.openapi.from_dict(document())
schema.config.update(headers=bearer(SETTINGS, roles=["operator"]))


@schema.parametrize()
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
def test_every_answer_is_as_documented(case: Any, server: str) -> None:
    assume(len(case.as_curl_command()) < LONGEST_URL)
    case.call_and_validate(base_url=server)
