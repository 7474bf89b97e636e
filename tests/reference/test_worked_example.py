"""The judge judged by the specification's worked example, field for field."""

import json
from decimal import Decimal
from pathlib import Path

from tests.reference import Record, load, run_detail, run_list

EXAMPLE = Path(__file__).parent.parent / "fixtures" / "worked_example"


def test_the_model_says_what_the_example_says() -> None:
    lines = (EXAMPLE / "history.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    platform = load(
        Record(row["topic"], row["key"], json.dumps(row["value"]).encode()) for row in rows
    )
    expected = json.loads((EXAMPLE / "expected.json").read_text("utf-8"), parse_float=Decimal)
    assert len(platform.events) == 245
    assert platform.dead == ()
    assert run_list(platform) == expected["runs"]
    assert {row["run_id"] for row in expected["runs"]} == set(expected["detail"])
    for run_id, told in expected["detail"].items():
        chinese, english = run_detail(platform, run_id), run_detail(platform, run_id, "en")
        assert chinese is not None
        assert english is not None
        assert chinese["timeline"] == told["timeline_zh"]
        assert [item["title"] for item in english["timeline"]] == told["timeline_en_titles"]
        assert chinese["mcp_gateway"] == told["mcp_gateway"]
        assert chinese["counts"] == told["counts"]
