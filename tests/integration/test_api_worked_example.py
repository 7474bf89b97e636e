"""The contract's worked example, through the projector and out of the API: every field."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.api_rows import Client, numbered, project, serving

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "worked_example"
EXPECTED = json.loads((EXAMPLE / "expected.json").read_text("utf-8"), parse_float=Decimal)


def history() -> list[tuple[str, Any]]:
    lines = (EXAMPLE / "history.jsonl").read_text("utf-8").splitlines()
    # Bytes as written: an amount keeps its digits.
    return [
        (row["topic"], None if row["value"] is None else json.dumps(row["value"]).encode())
        for row in map(json.loads, lines)
    ]


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    await project(database_url, numbered(history()))
    async with serving(database_url) as client:
        yield client


async def test_every_field_of_the_list_and_of_every_detail(client: Client) -> None:
    listed = await client.get("/v1/runs")
    assert listed["runs"] == EXPECTED["runs"]
    assert listed["total"] == len(EXPECTED["runs"])
    for run_id, expected in EXPECTED["detail"].items():
        told = await client.get(f"/v1/runs/{run_id}")
        english = await client.get(f"/v1/runs/{run_id}", headers={"Accept-Language": "en"})
        assert told["timeline"] == expected["timeline_zh"]
        assert [entry["title"] for entry in english["timeline"]] == expected["timeline_en_titles"]
        assert told["mcp_gateway"] == expected["mcp_gateway"]
        assert told["counts"] == expected["counts"]


async def test_the_answer_says_how_new_it_is(client: Client) -> None:
    answer = await client.ask("/v1/runs")
    assert answer.json()["as_of"] == answer.headers["x-view-as-of"]
    assert answer.headers["x-view-as-of"].endswith("Z")
