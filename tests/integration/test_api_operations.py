"""What an operator sees of the workers, whether the views are ready, and the published keys."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio
from jwt.utils import base64url_encode

from tests.api_rows import Client, numbered, problem_of, project, serving
from tests.approvals import KEY
from tests.deciding import key_file
from tests.records import PREFIX
from tests.unit.event_samples import least

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNS, STEPS = f"{PREFIX}run-state", f"{PREFIX}step-journal"
MAX_LAG = 50
REPORTED = """
    INSERT INTO runfold.worker (worker_id, host, pid, generation, partitions, last_error, seen_at)
    VALUES ($1, 'h', 1, 'main', $2, $3, clock_timestamp() - $4::text::interval)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(shared_url: str) -> AsyncIterator[Client]:
    given = [("run-state", least("run-state"))] * 3 + [("step-journal", least("step-journal"))]
    await project(shared_url, numbered(given))
    async with serving(shared_url, ready_max_lag=MAX_LAG) as client:
        yield client


Report: TypeAlias = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="module")
async def report(client: Client, owner: asyncpg.Connection) -> Report:
    """Have a worker say how far its topics (partition 0) reach; there is none to begin with."""
    await owner.execute("TRUNCATE runfold.worker")

    async def report(
        worker: str, ends: dict[str, int | None], age: str = "0 s", error: str | None = None
    ) -> None:
        partitions = [
            {"topic": topic, "partition": 0, "end": end, "events_per_second": 1.5}
            for topic, end in ends.items()
        ]
        await owner.execute(REPORTED, worker, json.dumps(partitions), error, age)

    return report


async def partitions(client: Client) -> dict[str, dict[str, Any]]:
    told = await client.get("/v1/ops/projection", roles=["operator"])
    assert told["generation"] == "main"
    found = {each["topic"]: each for each in told["partitions"]}
    lags = [each["lag"] for each in found.values() if each["lag"] is not None]
    assert told["lag"] == (sum(lags) if lags else None)
    return found


async def test_without_a_worker_the_end_is_not_known(client: Client, report: Report) -> None:
    found = await partitions(client)
    assert {topic: each["position"] for topic, each in found.items()} == {RUNS: 3, STEPS: 1}
    assert all(each["end"] is each["lag"] is each["worker_id"] is None for each in found.values())


async def test_where_every_partition_stands(client: Client, report: Report) -> None:
    await report("old", {RUNS: 5}, age="10 s")
    await report("w1", {RUNS: 10, "new": 4}, error="the broker is away")
    await report("w2", {STEPS: None})
    found = await partitions(client)
    expected = {"topic": RUNS, "partition": 0, "position": 3, "end": 10, "lag": 7}
    expected |= {"events_per_second": 1.5, "last_error": "the broker is away", "worker_id": "w1"}
    assert found[RUNS] == expected | {"updated_at": found[RUNS]["updated_at"]}
    assert (found["new"]["position"], found["new"]["lag"]) == (None, 4)
    assert (found[STEPS]["worker_id"], found[STEPS]["lag"]) == ("w2", None)


async def test_ready_is_when_the_lag_is_small_enough(client: Client, report: Report) -> None:
    await report("w1", {RUNS: 3 + MAX_LAG, STEPS: 1})
    expected = {"status": "ready", "generation": "main", "workers": 1, "lag": MAX_LAG}
    assert (await client.http.get("/readyz")).json() == expected | {"max_lag": MAX_LAG}
    await report("w2", {STEPS: 2})
    problem = problem_of(await client.http.get("/readyz"), 503, "not_ready")
    assert f"{MAX_LAG + 1} events" in problem["detail"]


async def test_ready_is_not_who_does_not_know_every_lag(client: Client, report: Report) -> None:
    await report("gone", {RUNS: 3, STEPS: 1}, age="31 s")
    assert (await partitions(client))[RUNS]["worker_id"] is None
    problem = problem_of(await client.http.get("/readyz"), 503, "not_ready")
    assert "no projector" in problem["detail"]
    knowing_less: list[dict[str, int | None]] = [{STEPS: 1}, {RUNS: None}]
    for number, ends in enumerate(knowing_less):
        await report(f"w{number}", ends)
        problem = problem_of(await client.http.get("/readyz"), 503, "not_ready")
        assert "1 partitions" in problem["detail"]


async def test_the_key_of_approvals_is_published(client: Client, tmp_path: Path) -> None:
    keys = "/.well-known/jwks.json"
    assert (await client.http.get(keys)).json() == {"keys": []}
    url = client.settings.database_url
    async with serving(url, approval_key=key_file(tmp_path)) as signing:
        (published,) = (await signing.http.get(keys)).json()["keys"]
    raw = KEY.public_key().public_bytes_raw()
    assert published["x"] == base64url_encode(raw).decode()
    assert (published["kty"], published["crv"], published["alg"]) == ("OKP", "Ed25519", "EdDSA")
    assert "d" not in published
