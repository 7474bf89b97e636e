"""What an operator sees: progress, readiness, dead letters; and the published keys."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.api_rows import Client, numbered, problem_of, project, serving
from tests.records import PREFIX, FakeRecord
from tests.unit.event_samples import least

OPERATOR = ["operator"]
RUNS, STEPS = f"{PREFIX}run-state", f"{PREFIX}step-journal"
MAX_LAG = 50


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    given = [("run-state", least("run-state"))] * 3 + [("step-journal", least("step-journal"))]
    await project(database_url, numbered(given))
    async with serving(database_url, ready_max_lag=MAX_LAG) as client:
        yield client


async def report(
    database_url: str,
    worker: str,
    ends: dict[str, int | None],
    *,
    age: str = "0 s",
    error: str | None = None,
) -> None:
    """Have a worker say how far its topics (partition 0) reach."""
    partitions = [
        {"topic": topic, "partition": 0, "end": end, "events_per_second": 1.5}
        for topic, end in ends.items()
    ]
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """
        INSERT INTO runfold.worker
            (worker_id, host, pid, generation, partitions, last_error, seen_at)
        VALUES ($1, 'h', 1, 'main', $2, $3, clock_timestamp() - $4::text::interval)
        ON CONFLICT (worker_id) DO UPDATE SET partitions = $2, seen_at = clock_timestamp()
        """,
        worker,
        json.dumps(partitions),
        error,
        age,
    )
    await connection.close()


async def partitions(client: Client) -> dict[str, dict[str, Any]]:
    told = await client.get("/v1/ops/projection", roles=OPERATOR)
    assert told["generation"] == "main"
    return {each["topic"]: each for each in told["partitions"]}


async def test_without_a_worker_the_end_is_not_known(client: Client) -> None:
    told = await client.get("/v1/ops/projection", roles=OPERATOR)
    assert told["lag"] is None
    found = await partitions(client)
    assert {topic: each["position"] for topic, each in found.items()} == {RUNS: 3, STEPS: 1}
    assert all(each["end"] is each["lag"] is each["worker_id"] is None for each in found.values())


async def test_where_every_partition_stands(client: Client, database_url: str) -> None:
    await report(database_url, "w1", {RUNS: 10, "new": 4}, error="the broker is away")
    await report(database_url, "w2", {STEPS: None})
    found = await partitions(client)
    assert found[RUNS] | {"updated_at": None} == {
        "topic": RUNS,
        "partition": 0,
        "position": 3,
        "end": 10,
        "lag": 7,
        "events_per_second": 1.5,
        "last_error": "the broker is away",
        "worker_id": "w1",
        "updated_at": None,
    }
    assert (found["new"]["position"], found["new"]["lag"]) == (None, 4)
    assert (found[STEPS]["worker_id"], found[STEPS]["lag"]) == ("w2", None)
    assert (await client.get("/v1/ops/projection", roles=OPERATOR))["lag"] == 11


async def test_the_last_worker_to_name_a_partition_has_it(
    client: Client, database_url: str
) -> None:
    await report(database_url, "old", {RUNS: 5}, age="10 s")
    await report(database_url, "new", {RUNS: 9})
    assert (await partitions(client))[RUNS]["worker_id"] == "new"


async def test_a_worker_that_is_gone_says_nothing(client: Client, database_url: str) -> None:
    await report(database_url, "gone", {RUNS: 5}, age="31 s")
    assert (await partitions(client))[RUNS]["worker_id"] is None
    problem = problem_of(await client.http.get("/readyz"), 503, "not_ready")
    assert "no projector" in problem["detail"]


async def test_ready_is_when_the_lag_is_small_enough(client: Client, database_url: str) -> None:
    await report(database_url, "w1", {RUNS: 3 + MAX_LAG, STEPS: 1})
    answer = await client.http.get("/readyz")
    assert answer.json() == {
        "status": "ready",
        "generation": "main",
        "workers": 1,
        "lag": MAX_LAG,
        "max_lag": MAX_LAG,
    }
    await report(database_url, "w2", {STEPS: 2})
    problem = problem_of(await client.http.get("/readyz"), 503, "not_ready")
    assert f"{MAX_LAG + 1} events behind" in problem["detail"]


@pytest.mark.parametrize("ends", [{RUNS: None, STEPS: 1}, {STEPS: 1}])
async def test_ready_is_not_who_does_not_know_every_lag(
    client: Client, database_url: str, ends: dict[str, int | None]
) -> None:
    await report(database_url, "w1", ends)
    problem = problem_of(await client.http.get("/readyz"), 503, "not_ready")
    assert "of 1 partitions no projector says" in problem["detail"]


BAD: list[tuple[str, bytes | None, bytes]] = [
    ("run-state", b"key", b"{"),
    ("run-state", None, b"[]"),
    ("step-journal", b"\xff\x00", b"\xff\xfe"),
    ("run-state", "鍵".encode(), b'{"specversion": "1.0"}'),
]


@pytest.fixture
async def parked(client: Client, database_url: str) -> list[dict[str, Any]]:
    """The dead letters of bad records, newest first."""
    records = [
        FakeRecord(PREFIX + suffix, 1, offset, key, value, [("a", b"\xff"), ("b", None)])
        for offset, (suffix, key, value) in enumerate(BAD)
    ]
    await project(database_url, records)
    letters: list[dict[str, Any]] = (await client.get("/v1/ops/dead-letters", roles=OPERATOR))[
        "dead_letters"
    ]
    return letters


async def test_a_cursor_of_dead_letters_belongs_to_its_filter(
    client: Client, parked: list[dict[str, Any]]
) -> None:
    path = "/v1/ops/dead-letters"
    cursor = (await client.get(path, roles=OPERATOR, limit=1))["next_cursor"]
    filters: list[dict[str, Any]] = [
        {"reason": "malformed"},
        {"topic": RUNS},
        {"status": "parked"},
    ]
    for other in filters:
        problem_of(
            await client.ask(path, roles=OPERATOR, cursor=cursor, **other), 422, "bad_cursor"
        )


async def test_dead_letters_are_listed_newest_first(parked: list[dict[str, Any]]) -> None:
    assert [letter["offset"] for letter in parked] == [3, 2, 1, 0]
    assert [letter["id"] for letter in parked] == sorted(
        (letter["id"] for letter in parked), reverse=True
    )
    assert [letter["key"] for letter in parked] == ["鍵", "\ufffd\0", None, "key"]
    assert [letter["reason"] for letter in parked] == ["envelope", *["malformed"] * 3]
    assert {letter["status"] for letter in parked} == {"parked"}


async def test_dead_letters_by_filter_and_page(
    client: Client, parked: list[dict[str, Any]]
) -> None:
    filters: list[dict[str, str]] = [
        {},
        {"reason": "malformed"},
        {"topic": RUNS},
        {"reason": "malformed", "topic": RUNS},
        {"status": "parked"},
        {"status": "discarded"},
        {"topic": "run-state"},
    ]
    for query in filters:
        expected = [each for each in parked if query.items() <= each.items()]
        for limit in (1, 2, 500):
            found: list[Any] = []
            asked: dict[str, Any] = {**query, "limit": limit, "roles": OPERATOR}
            while True:
                page = await client.get("/v1/ops/dead-letters", **asked)
                assert page["total"] == len(expected)
                found += page["dead_letters"]
                if page["next_cursor"] is None:
                    break
                asked["cursor"] = page["next_cursor"]
            assert found == expected, query


async def test_a_dead_letter_with_its_bytes(client: Client, parked: list[dict[str, Any]]) -> None:
    for letter, (_, key, value) in zip(parked, reversed(BAD), strict=True):
        told = await client.get(f"/v1/ops/dead-letters/{letter['id']}", roles=OPERATOR)
        assert told.items() >= letter.items()
        assert base64.b64decode(told["value_base64"]) == value
        assert told["key_base64"] == (None if key is None else base64.b64encode(key).decode())
        assert told["headers"] == [["a", "/w=="], ["b", None]]
        assert (told["changed_at"], told["changed_by"]) == (None, None)
    await client.fails(
        "/v1/ops/dead-letters/999999999999999999", 404, "dead_letter_not_found", roles=OPERATOR
    )


async def test_the_key_of_approvals_is_published(database_url: str, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    async with serving(database_url, approval_key=path) as client:
        answer = await client.http.get("/.well-known/jwks.json")
    (published,) = answer.json()["keys"]
    raw = key.public_key().public_bytes_raw()
    assert published["x"] == base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert (published["kty"], published["crv"], published["alg"]) == ("OKP", "Ed25519", "EdDSA")
    assert "d" not in published
