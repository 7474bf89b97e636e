"""The worked example, from its records to what the API says of it, every field."""

import json
from pathlib import Path
from typing import Any

from tests.applying import workers
from tests.property.answers import ENGLISH, Asker, asking, diff
from tests.records import PREFIX, FakeRecord

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "worked_example"


def records() -> list[FakeRecord]:
    found: list[FakeRecord] = []
    ends: dict[str, int] = {}
    for line in (EXAMPLE / "history.jsonl").read_text().splitlines():
        entry = json.loads(line)
        topic = PREFIX + entry["topic"]
        ends[topic] = ends.get(topic, -1) + 1
        value = None if entry["value"] is None else json.dumps(entry["value"]).encode()
        found.append(FakeRecord(topic, 0, ends[topic], entry["key"].encode(), value))
    return found


async def test_the_api_says_what_the_example_says(database_url: str) -> None:
    expected = json.loads((EXAMPLE / "expected.json").read_text())
    async with workers(database_url, 1) as (worker,), asking(database_url) as asker:
        await worker.own(records())
        await worker.poll(records())
        answer = await asker.get("/v1/runs", per_page=200)
        assert diff("runs", jsonable(answer["runs"]), expected["runs"]) == []
        for run_id, wanted in expected["detail"].items():
            assert diff(run_id, await told(asker, run_id), wanted) == []


async def told(asker: Asker, run_id: str) -> dict[str, Any]:
    """What the example has of a run."""
    chinese = await asker.get(f"/v1/runs/{run_id}")
    english = await asker.get(f"/v1/runs/{run_id}", ENGLISH)
    return {
        "timeline_zh": jsonable(chinese["timeline"]),
        "timeline_en_titles": [entry["title"] for entry in english["timeline"]],
        "mcp_gateway": chinese["mcp_gateway"],
        "counts": chinese["counts"],
    }


def jsonable(value: Any) -> Any:
    """The value with its decimals as the floats that the example was read with."""
    return json.loads(json.dumps(value, default=float))
