"""The contract's worked example, by the model and by projector and API: every field."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.api_rows import numbered, project, serving
from tests.reference import Record, load, run_detail, run_list

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "worked_example"
LINES = [json.loads(line) for line in (EXAMPLE / "history.jsonl").read_text("utf-8").splitlines()]
# As bytes: an amount keeps its digits.
GIVEN = [(row["topic"], row["value"] and json.dumps(row["value"]).encode()) for row in LINES]
EXPECTED = json.loads((EXAMPLE / "expected.json").read_text("utf-8"), parse_float=Decimal)


def test_the_model_says_what_the_example_says() -> None:
    platform = load(Record(topic, None, value) for topic, value in GIVEN)
    assert (len(platform.events), platform.dead) == (245, ())
    assert run_list(platform) == EXPECTED["runs"]
    assert {row["run_id"] for row in EXPECTED["runs"]} == set(EXPECTED["detail"])
    for run_id, expected in EXPECTED["detail"].items():
        told, english = (run_detail(platform, run_id, lang) or {} for lang in ("zh-TW", "en"))
        check(told, english, expected)


def check(told: dict[str, Any], english: dict[str, Any], expected: dict[str, Any]) -> None:
    assert told["timeline"] == expected["timeline_zh"]
    titles = [entry["title"] for entry in english["timeline"]]
    assert titles == expected["timeline_en_titles"]
    assert told["mcp_gateway"] == expected["mcp_gateway"]
    assert told["counts"] == expected["counts"]


async def test_the_api_says_what_the_example_says(database_url: str) -> None:
    await project(database_url, numbered(GIVEN))
    async with serving(database_url) as client:
        listed = await client.ask("/v1/runs")
        runs = json.loads(listed.content, parse_float=Decimal)
        assert (runs["runs"], runs["total"]) == (EXPECTED["runs"], len(EXPECTED["runs"]))
        assert runs["as_of"] == listed.headers["x-view-as-of"]
        assert runs["as_of"].endswith("Z")
        for run_id, expected in EXPECTED["detail"].items():
            told = await client.get(f"/v1/runs/{run_id}")
            english = await client.get(f"/v1/runs/{run_id}", headers={"Accept-Language": "en"})
            check(told, english, expected)
