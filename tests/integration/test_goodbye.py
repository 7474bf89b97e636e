"""A database that ends connections nobody uses just then: an outage, and no fault of ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import OperationError
from projector.database import connected
from tests.api_rows import Client, problem_of, serving
from tests.deciding import Approver, Told, key_file, waiting
from tests.stack.goodbye import Goodbyes, goodbyes


@pytest.fixture
async def way(database_url: str) -> AsyncIterator[Goodbyes]:
    async with goodbyes(database_url) as way:
        yield way


@pytest.fixture
async def api(way: Goodbyes, tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(way.url, approval_key=key_file(tmp_path)) as client:
        yield client


async def test_a_read_is_told_so_and_the_next_one_is_answered(api: Client, way: Goodbyes) -> None:
    await api.get("/v1/projects")
    await way.said()
    await api.fails("/v1/projects", 503, "database_unavailable")
    await api.get("/v1/projects")


async def test_a_decision_is_told_so_and_the_next_one_is_made(
    api: Client, way: Goodbyes, database_url: str
) -> None:
    await Told(database_url)(waiting())
    alice = Approver(api.http, api.settings)
    assert (await alice.decide({"decision": "approve", "run_version": 1})).status_code == 412
    await way.said()
    problem_of(await alice.decide(), 503, "database_unavailable")
    assert (await alice.decide()).status_code == 202


async def test_a_command_says_where_it_was(way: Goodbyes) -> None:
    async def command() -> None:
        async with connected(way.url) as connection:
            await connection.execute("SELECT 1")
            await way.said()
            await connection.execute("SELECT 1")

    with pytest.raises(OperationError, match=r"^the database at 127\.0\.0\.1:\d+/"):
        await command()
