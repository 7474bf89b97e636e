"""What belongs to a run, its incident ids, and what bears on it."""

from typing import Any

import pytest

from tests.reference.belonging import mentions, referred
from tests.reference.given import (
    INBOUND,
    INCIDENT,
    OTHER_RUN,
    RUN,
    at,
    detail,
    event,
    run_with_incident,
)


@pytest.mark.parametrize(
    "topic", ["step-journal", "outbound-message", "mcp-gateway-audit", "approval-command"]
)
def test_items_of_another_project_do_not_show(topic: str) -> None:
    for project, items in (("p", 2), ("q", 1)):
        told = detail(event("run-state"), event(topic, project_id=project))
        assert len(told["timeline"]) == items


@pytest.mark.parametrize(
    ("trigger", "inbound", "belongs"),
    [
        (None, {"run_id": RUN.upper()}, True),
        (None, {"run_id": OTHER_RUN}, False),
        (None, {"provider_event_id": None}, False),
        (INBOUND.upper(), {}, True),
        (INBOUND.replace("-", ""), {}, False),
        (f"{INBOUND} ", {}, False),
        ("tg:1", {"provider_event_id": "tg:1"}, True),
        ("TG:1", {"provider_event_id": "tg:1"}, False),
        ("tg:1", {"provider_event_id": "tg:1", "project_id": "q"}, False),
    ],
)
def test_inbound_belongs(trigger: str | None, inbound: dict[str, Any], belongs: bool) -> None:
    told = detail(event("run-state", trigger_ref=trigger), event("conversation-event", **inbound))
    assert told["counts"]["inbound_events"] == belongs


def test_incident_ids_in_order_of_first_appearance() -> None:
    ids = [f"INC-20260518-000{n}" for n in range(9)]
    refs = {"source_refs": {"incident_ids": [ids[3], ids[1]]}}
    texts: dict[str, Any] = {"content_preview": ids[5], "content_redacted": ids[4]}
    told = detail(
        event("run-state", trigger_ref=ids[2], error_detail=ids[1]),
        event("conversation-event", run_id=RUN, source_envelope=refs, **texts),
        event("outbound-message", message_id="late", queued_at=at(5), content_preview=ids[7]),
        event("outbound-message", content_preview=ids[8], send_error=ids[6]),
    )
    found = told["remediation_summary"]["incident_ids"]
    assert found == [ids[n] for n in (2, 1, 3, 5, 4, 8, 6, 7)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(INC-20260518-ABCD)", [INCIDENT]),
        ("事故INC-20260518-ABCD，é", [INCIDENT]),
        ("éINC-20260518-ABCDé", [INCIDENT]),
        ("INC-20260518-ABCD-x", [INCIDENT]),
        ("INC-20260518-ABCD,INC-20260518-ABCDE", [INCIDENT, "INC-20260518-ABCDE"]),
        ("xINC-20260518-ABCD INC-20260518-ABCD_y INC-20260518-ABCDe INC-20260518-ABC", []),
        ("INC-2026051-ABCD inc-20260518-abcd INC-２０２６０５１８-ABCD", []),
        (None, []),
    ],
)
def test_incident_ids_in_free_text(text: str | None, found: list[str]) -> None:
    assert mentions(text) == found


@pytest.mark.parametrize(
    ("refs", "found"),
    [
        ({"incident_ids": [" a ", "", " ", "a", 77, None, True, {}, ["b"]]}, ["a", "a", "77"]),
        ({"incident_ids": " custom-77 "}, ["custom-77"]),
        ({"incident_ids": 77}, ["77"]),
        ({"incident_ids": None}, []),
        ({"incident_ids": False}, []),
        ({"incident_ids": {"a": 1}}, []),
        ({}, []),
        ([], []),
        ("x", []),
    ],
)
def test_incident_ids_in_source_refs(refs: Any, found: list[str]) -> None:
    assert referred({"source_refs": refs}) == found
    assert referred(None) == referred({}) == []


@pytest.mark.parametrize(("project_id", "bears"), [(None, True), ("p", True), ("q", False)])
def test_evidence_bears_on_runs_of_its_project_or_of_all(
    project_id: str | None, bears: bool
) -> None:
    bearing = [
        event(topic, project_id=project_id)
        for topic in ("remediation-evidence", "mcp-legacy-audit")
    ]
    summary = detail(run_with_incident(), *bearing)["remediation_summary"]
    assert (summary["total"], summary["mcp_observation_total"]) == (bears, bears)
