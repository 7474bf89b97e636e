"""The contract's worked example, through the projector and out of the API: every field."""

import json
from decimal import Decimal
from pathlib import Path

from tests.api_rows import numbered, project, serving

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "worked_example"


async def test_the_api_says_what_the_example_says(database_url: str) -> None:
    lines = map(json.loads, (EXAMPLE / "history.jsonl").read_text("utf-8").splitlines())
    # As bytes: an amount keeps its digits.
    values = ((row["topic"], row["value"] and json.dumps(row["value"]).encode()) for row in lines)
    await project(database_url, numbered(values))
    example = json.loads((EXAMPLE / "expected.json").read_text("utf-8"), parse_float=Decimal)
    async with serving(database_url) as client:
        listed = await client.ask("/v1/runs")
        runs = json.loads(listed.content, parse_float=Decimal)
        assert (runs["runs"], runs["total"]) == (example["runs"], len(example["runs"]))
        assert runs["as_of"] == listed.headers["x-view-as-of"]
        assert runs["as_of"].endswith("Z")
        for run_id, expected in example["detail"].items():
            told = await client.get(f"/v1/runs/{run_id}")
            english = await client.get(f"/v1/runs/{run_id}", headers={"Accept-Language": "en"})
            assert told["timeline"] == expected["timeline_zh"]
            titles = [entry["title"] for entry in english["timeline"]]
            assert titles == expected["timeline_en_titles"]
            assert told["mcp_gateway"] == expected["mcp_gateway"]
            assert told["counts"] == expected["counts"]
