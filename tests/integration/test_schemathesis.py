"""The OpenAPI document is true: schemathesis asks the running API whatever it allows, and more.

A few requests of each operation, always the same ones. `SCHEMATHESIS_REQUESTS=10000` makes at
least so many, other ones each time, and the last test counts those that have arrived:

    SCHEMATHESIS_REQUESTS=10000 .venv/bin/pytest -m crash tests/integration/test_schemathesis.py
"""

import asyncio
import itertools
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, assume, settings
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import create_app
from projector.demo.postgres import EmbeddedPostgres
from tests.api_rows import bearer, numbered, of_history, project, settings_for
from tests.deciding import ACTION, key_file, waiting
from tests.histories import history
from tests.stack import databases

pytestmark = pytest.mark.crash

# Which cursor is good depends on what was asked before, and a record may be waited for in vain:
# both have tests of their own.
OPEN_ENDED = {"cursor", "wait_for", "wait_timeout"}
LONGEST_URL = 32_768

REQUESTS = int(os.environ.get("SCHEMATHESIS_REQUESTS", "0"))
"""How many requests to make at least; a few of each operation when unset."""

ANSWERED: Counter[int] = Counter()
"""Requests that have arrived and been answered, by the answer's status."""

# Runs on which a decision is possible, comes too late, or is the asker's own.
KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"timeout_at": "2026-05-18T06:01:48Z"},
    {"pending_action": None},
    {"pending_action": ACTION | {"requested_by": "tester"}},
)
WAITING = [str(uuid4()) for _ in range(400)]


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, database_template: str) -> Iterator[str]:
    """A database that a history with bad records in it has filled."""
    name = f"test_{uuid4().hex}"
    url = postgres.url_of(name)
    asyncio.run(databases.clone_database(postgres.url, database_template, name))
    asyncio.run(project(url, of_history(history(3, 400, bad=True))))
    runs = zip(WAITING, itertools.cycle(KINDS), strict=False)
    events = [("run-state", waiting(run_id=run, **kind)) for run, kind in runs]
    asyncio.run(project(url, numbered(events, partition=1)))
    asyncio.run(report(url))
    yield url
    asyncio.run(databases.drop_database(postgres.url, name))


async def report(url: str) -> None:
    """Have a worker say that it is there, with all partitions, once for the whole of the test."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        """
        INSERT INTO runfold.worker (worker_id, host, pid, generation, partitions, seen_at)
        SELECT 'w1', 'h1', 1, 'main', json_agg(assigned), 'infinity'
        FROM (
            SELECT topic, partition, next_offset + 5 AS "end", 1.5 AS events_per_second
            FROM g_main.position
        ) AS assigned
        """
    )
    await connection.close()


class Counted:
    """An application whose answers are counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                ANSWERED[message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the API, served as ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    key = key_file(tmp_path_factory.mktemp("key"))
    app = create_app(settings_for(database, approval_key=key))
    running = uvicorn.Server(
        uvicorn.Config(Counted(app), http="api.http:BoundedHttp", log_config=None)
    )
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


OPERATIONS = sum(len(path) for path in document()["paths"].values())
# Some operations can be asked in a few ways only, so that the others make up for them.
often = settings(
    max_examples=max(40, 2 * REQUESTS // OPERATIONS),
    derandomize=not REQUESTS,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@schema.parametrize()
@often
def test_every_answer_is_as_documented(case: Any, server: str) -> None:
    assume(len(case.as_curl_command()) < LONGEST_URL)
    case.call_and_validate(base_url=server)


decisions = schema.include(method="POST", path="/v1/runs/{run_id}/decision")
next_run = itertools.cycle(WAITING)


@decisions.parametrize()
@often
def test_every_answer_to_a_decision_is_as_documented(case: Any, server: str) -> None:
    """On runs that wait: what is taken and what is not is up to more than the document can say."""
    case.path_parameters["run_id"] = next(next_run)
    assume(len(case.as_curl_command()) < LONGEST_URL)
    checks = [positive_data_acceptance, negative_data_rejection, ignored_auth]
    case.call_and_validate(base_url=server, excluded_checks=checks)


@pytest.mark.skipif(not REQUESTS, reason="SCHEMATHESIS_REQUESTS says how many requests to make")
def test_so_many_requests_were_made_and_none_failed_the_server() -> None:
    print(f"{ANSWERED.total()} requests: {dict(sorted(ANSWERED.items()))}")
    assert ANSWERED.total() >= REQUESTS, ANSWERED
    assert not [status for status in ANSWERED if status >= 500], ANSWERED
