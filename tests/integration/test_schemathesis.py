"""The OpenAPI document is true: schemathesis asks the running API whatever it allows, and more.

A few requests of each operation, always the same ones; `SCHEMATHESIS_REQUESTS=10000` makes about
so many, other ones each time.
"""

import itertools
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, assume, settings
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from api.app import create_app
from tests.api_rows import bearer, numbered, of_history, project, settings_for
from tests.applying import fetch
from tests.deciding import ACTION, key_file, waiting
from tests.histories import history
from tests.streams import listening

pytestmark = pytest.mark.crash

# Which cursor is good depends on what was asked before, and a record may be waited for in vain:
# both have tests of their own.
OPEN_ENDED = {"cursor", "wait_for", "wait_timeout"}
LONGEST_URL = 32_768

REQUESTS = int(os.environ.get("SCHEMATHESIS_REQUESTS", "0"))
"""How many requests to make at least; a few of each operation when unset."""

# Runs on which a decision is possible, comes too late, or is the asker's own.
KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"timeout_at": "2026-05-18T06:01:48Z"},
    {"pending_action": None},
    {"pending_action": ACTION | {"requested_by": "tester"}},
)
WAITING = [str(uuid4()) for _ in range(400)]


# A worker says that it is there, with all partitions: without one the API is not ready.
REPORT = """
    INSERT INTO runfold.worker (worker_id, host, pid, generation, partitions, seen_at)
    SELECT 'w1', 'h1', 1, 'main', json_agg(assigned), 'infinity'
    FROM (SELECT topic, partition, next_offset AS "end" FROM g_main.position) AS assigned
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(shared_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of an API over a history with bad records in it, and over runs that wait."""
    await project(shared_url, of_history(history(3, 400, bad=True)))
    runs = zip(WAITING, itertools.cycle(KINDS), strict=False)
    events = [("run-state", waiting(run_id=run, **kind)) for run, kind in runs]
    await project(shared_url, numbered(events, partition=1))
    await fetch(shared_url, REPORT)
    key = key_file(tmp_path_factory.mktemp("key"))
    async with listening(shared_url, approval_key=key) as served:
        yield served.url


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
