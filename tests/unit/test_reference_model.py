"""The judge judged: the worked example field for field, who wins, and what is no event."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.reference import (
    Platform,
    Record,
    dead_letters,
    jsonable,
    load,
    projects,
    run_detail,
    run_list,
)
from tests.reference.given import OTHER_RUN, RUN, at, detail, event, run_with_incident
from tests.reference.plain import rfc3339

EXAMPLE = Path(__file__).parent.parent / "fixtures" / "worked_example"


@pytest.fixture(scope="module")
def example() -> Platform:
    lines = (EXAMPLE / "history.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return load(Record(row["topic"], row["key"], json.dumps(row["value"]).encode()) for row in rows)


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (EXAMPLE / "expected.json").read_text(encoding="utf-8"), parse_float=Decimal
    )
    return found


def test_example_has_no_bad_record(example: Platform) -> None:
    assert len(example.events) == 245
    assert dead_letters(example) == []


def test_example_runs(example: Platform, expected: dict[str, Any]) -> None:
    assert run_list(example) == expected["runs"]


def test_example_details(example: Platform, expected: dict[str, Any]) -> None:
    assert {row["run_id"] for row in run_list(example)} == set(expected["detail"])
    for run_id, told in expected["detail"].items():
        chinese, english = run_detail(example, run_id), run_detail(example, run_id, "en")
        assert chinese is not None
        assert english is not None
        assert chinese["timeline"] == told["timeline_zh"]
        assert [item["title"] for item in english["timeline"]] == told["timeline_en_titles"]
        assert chinese["mcp_gateway"] == told["mcp_gateway"]
        assert chinese["counts"] == told["counts"]


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        ({"version": 1, "second": 9, "id_": "z"}, {"version": 2}),
        ({"second": 1, "id_": "z"}, {"second": 2}),
        ({"id_": "B"}, {"id_": "a"}),
        ({"id_": "z"}, {"id_": "é"}),
        ({"id_": "～"}, {"id_": "🚨"}),
    ],
)
def test_greatest_version_time_id_wins(loser: dict[str, Any], winner: dict[str, Any]) -> None:
    lost = event("run-state", state="failed", **loser)
    won = event("run-state", state="completed", **winner)
    for order in ([lost, won], [won, lost], [won, lost, won, lost]):
        assert [row["state"] for row in run_list(load(order))] == ["completed"]


def test_number_and_text_of_it_are_one_id() -> None:
    told = detail(
        run_with_incident(),
        event("remediation-evidence", id=7),
        event("remediation-evidence", id="7", version=1),
    )
    assert told["counts"]["remediation_history"] == 1


def test_steps_of_two_runs_may_share_their_id() -> None:
    runs = [event("run-state"), event("run-state", run_id=OTHER_RUN)]
    shared = [event("step-journal"), event("step-journal", run_id=OTHER_RUN, id_="f")]
    for run_id in (RUN, OTHER_RUN):
        assert detail(*runs, *shared, run_id=run_id)["counts"]["steps"] == 1


def test_a_message_moves_between_runs() -> None:
    runs = [event("run-state"), event("run-state", run_id=OTHER_RUN)]
    moved = [
        event("outbound-message"),
        event("outbound-message", run_id=OTHER_RUN.upper(), version=1),
    ]
    assert detail(*runs, *moved)["counts"]["outbound_messages"] == 0
    assert detail(*runs, *moved, run_id=OTHER_RUN)["counts"]["outbound_messages"] == 1


def test_tombstones_are_counted_and_dead_letters_listed() -> None:
    platform = load(
        [
            Record("project", "p", None),
            Record("run-state", "k", b"{"),
            event("run-state", agent_id="a\0"),
            event("run-state"),
        ]
    )
    assert platform.tombstones == 1
    assert dead_letters(platform) == [
        {"topic": "run-state", "key": "k", "reason": "malformed"},
        {"topic": "run-state", "key": None, "reason": "rejected"},
    ]
    assert len(run_list(platform)) == 1


def test_a_value_of_exactly_the_limit_is_read() -> None:
    sound = event("project").value or b""
    for pad, dead in ((0, 0), (1, 1)):
        platform = load([Record("project", None, sound.ljust(1024 * 1024 + pad))])
        assert len(platform.dead) == dead


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    assert dead_letters(load([event("project", extra=["\0", 10**30])])) == []


def test_the_envelope_is_judged_before_the_type_and_the_type_before_the_payload() -> None:
    def judged(**attributes: Any) -> str:
        document = json.loads(event("project", created_at="never").value or b"")
        value = json.dumps(document | attributes).encode()
        return str(load([Record("project", None, value)]).dead[0].reason)

    assert judged(type="x", id="") == "envelope"
    assert judged(type="x") == "unknown_type"
    assert judged() == "payload"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-05-18T06:00:00", at(0)),
        ("2026-05-18t06:00:00.000000999z", at(0)),
        ("2026-05-18T02:30:00.5-03:30", "2026-05-18T06:00:00.500000Z"),
        ("2026-05-17T23:59:59.123456789+00:00", "2026-05-17T23:59:59.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_timestamps_are_told_in_utc_to_the_microsecond(text: str, told: str) -> None:
    assert projects(load([event("project", created_at=text)]))[0]["created_at"] == told


def test_plain_values() -> None:
    assert (
        rfc3339(datetime(2026, 1, 1, microsecond=10, tzinfo=UTC)) == "2026-01-01T00:00:00.000010Z"
    )
    shown = jsonable({"a": [Decimal("5.00"), Decimal("2.5")], "b": "x"})
    assert json.dumps(shown) == '{"a": [5, 2.5], "b": "x"}'


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        ("12.50", Decimal("12.5")),
        ("1e3", 1000),
        ("1e-101", None),
        ("1e101", None),
        ("1" * 101, None),
        ("-1", None),
        (" 1", None),
        ("Infinity", None),
        (True, None),
    ],
)
def test_decimals(cost: Any, told: Decimal | None) -> None:
    found = [row["cost_usd"] for row in run_list(load([event("run-state", cost_usd=cost)]))]
    assert found == ([] if told is None else [told])


def test_an_attribute_of_null_is_absent() -> None:
    document = json.loads(event("run-state").value or b"") | {"entityversion": None}
    unversioned = Record("run-state", None, json.dumps(document).encode())
    later = event("run-state", second=1, state="failed")
    assert [row["state"] for row in run_list(load([unversioned, later]))] == ["failed"]
