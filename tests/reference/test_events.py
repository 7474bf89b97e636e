"""Which event wins, and what is no event."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.reference import Record, load, projects, run_list
from tests.reference.given import OTHER_RUN, RUN, at, detail, event, run_with_incident


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


def test_what_is_one_entity() -> None:
    one = [event("remediation-evidence", id=7), event("remediation-evidence", id="7", version=1)]
    assert detail(run_with_incident(), *one)["counts"]["remediation_history"] == 1
    runs = [event("run-state"), event("run-state", run_id=OTHER_RUN)]
    steps = [event("step-journal"), event("step-journal", run_id=OTHER_RUN, id_="f")]
    moved = event("outbound-message", run_id=OTHER_RUN.upper(), version=1)
    for run_id, messages in ((RUN, 0), (OTHER_RUN, 1)):
        counts = detail(*runs, *steps, event("outbound-message"), moved, run_id=run_id)["counts"]
        assert (counts["steps"], counts["outbound_messages"]) == (1, messages)


SOUND = event("project").value or b""


def changed(**attributes: Any) -> Record:
    """The event of a project with these attributes of its envelope."""
    return Record("project", None, json.dumps(json.loads(SOUND) | attributes).encode())


NEVER = {"project_id": "p", "display_name": "P", "created_at": "never"}


@pytest.mark.parametrize(
    ("record", "reasons"),
    [
        # the envelope is judged before the type and the type before the payload
        (changed(data=NEVER, type="x", id=""), ["envelope"]),
        (changed(data=NEVER, type="x"), ["unknown_type"]),
        (changed(data=NEVER), ["payload"]),
        (changed(entityversion=None), []),
        (event("project", extra=["\0", 10**30]), []),
        (Record("project", None, SOUND.ljust(1024 * 1024)), []),
        (Record("project", None, SOUND.ljust(1024 * 1024 + 1)), ["too_large"]),
    ],
)
def test_what_is_no_event_is_a_dead_letter(record: Record, reasons: list[str]) -> None:
    platform = load([record, Record("project", "p", None)])
    assert [(letter.record, letter.reason) for letter in platform.dead] == [
        (record, reason) for reason in reasons
    ]
    assert (len(platform.events), platform.tombstones) == (1 - len(reasons), 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-05-18T06:00:00", at(0)),
        ("2026-05-18t06:00:00.000000499z", at(0)),
        ("2026-05-18T06:00:00.00001Z", "2026-05-18T06:00:00.000010Z"),
        ("2026-05-18T02:30:00.5-03:30", "2026-05-18T06:00:00.500000Z"),
        ("2026-05-17 23:59:59.9999995+0000", "2026-05-18T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_timestamps_are_told_in_utc_to_the_microsecond(text: str, told: str) -> None:
    assert projects(load([event("project", created_at=text)]))[0]["created_at"] == told


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        ("12.50", Decimal("12.5")),
        ("1e3", 1000),
        (" 1_0", 10),
        *((bad, None) for bad in ("1e-101", "1e101", "1" * 101, "-1", "1.e", "Infinity", True)),
    ],
)
def test_decimals(cost: Any, told: Decimal | None) -> None:
    found = [row["cost_usd"] for row in run_list(load([event("run-state", cost_usd=cost)]))]
    assert found == ([] if told is None else [told])
