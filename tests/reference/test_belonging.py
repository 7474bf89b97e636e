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
    whole = detail(event("run-state"), event(topic))
    assert len(whole["timeline"]) == 2
    foreign = detail(event("run-state"), event(topic, project_id="q"))
    assert len(foreign["timeline"]) == 1


@pytest.mark.parametrize(
    ("run", "inbound", "belongs"),
    [
        ({}, {"run_id": RUN.upper()}, True),
        ({}, {"run_id": OTHER_RUN}, False),
        ({"trigger_ref": INBOUND.upper()}, {}, True),
        ({"trigger_ref": INBOUND.replace("-", "")}, {}, False),
        ({"trigger_ref": f"{INBOUND} "}, {}, False),
        ({"trigger_ref": "tg:1"}, {"provider_event_id": "tg:1"}, True),
        ({"trigger_ref": "TG:1"}, {"provider_event_id": "tg:1"}, False),
        ({"trigger_ref": None}, {"provider_event_id": None}, False),
        ({"trigger_ref": "tg:1"}, {"provider_event_id": "tg:1", "project_id": "q"}, False),
    ],
)
def test_inbound_belongs(run: dict[str, Any], inbound: dict[str, Any], belongs: bool) -> None:
    told = detail(event("run-state", **run), event("conversation-event", **inbound))
    assert told["counts"]["inbound_events"] == belongs


def test_incident_ids_in_order_of_first_appearance() -> None:
    def incident(n: int) -> str:
        return f"INC-20260518-000{n}"

    told = detail(
        event("run-state", trigger_ref=incident(2), error_detail=incident(1)),
        event(
            "conversation-event",
            run_id=RUN,
            source_envelope={"source_refs": {"incident_ids": [incident(3), incident(1)]}},
            content_preview=incident(5),
            content_redacted=incident(4),
        ),
        event("outbound-message", message_id="late", queued_at=at(5), content_preview=incident(7)),
        event("outbound-message", content_preview=incident(8), send_error=incident(6)),
    )
    ids = [incident(n) for n in (2, 1, 3, 5, 4, 8, 6, 7)]
    assert told["remediation_summary"]["incident_ids"] == ids


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(INC-20260518-ABCD)", [INCIDENT]),
        ("事故INC-20260518-ABCD，é", [INCIDENT]),
        ("éINC-20260518-ABCDé", [INCIDENT]),
        ("INC-20260518-ABCD-x", [INCIDENT]),
        ("INC-20260518-ABCD,INC-20260518-ABCDE", [INCIDENT, "INC-20260518-ABCDE"]),
        ("xINC-20260518-ABCD", []),
        ("INC-20260518-ABCD_y", []),
        ("INC-20260518-ABCDe", []),
        ("INC-20260518-ABC", []),
        ("INC-2026051-ABCD", []),
        ("inc-20260518-abcd", []),
        ("INC-２０２６０５１８-ABCD", []),
        ("", []),
        (None, []),
    ],
)
def test_incident_ids_in_free_text(text: str | None, found: list[str]) -> None:
    assert mentions(text) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([" a ", "", " ", "a", 77, None, True, {}, ["b"]], ["a", "a", "77"]),
        (" custom-77 ", ["custom-77"]),
        (77, ["77"]),
        (None, []),
        (False, []),
        ({"a": 1}, []),
    ],
)
def test_incident_ids_in_source_refs(given: Any, found: list[str]) -> None:
    assert referred({"source_refs": {"incident_ids": given}}) == found


@pytest.mark.parametrize("envelope", [None, {}, {"source_refs": []}, {"source_refs": "x"}])
def test_no_incident_ids_in_other_envelopes(envelope: dict[str, Any] | None) -> None:
    assert referred(envelope) == []


@pytest.mark.parametrize(("project_id", "bears"), [(None, True), ("p", True), ("q", False)])
def test_evidence_bears_on_runs_of_its_project_or_of_all(
    project_id: str | None, bears: bool
) -> None:
    told = detail(
        run_with_incident(),
        event("remediation-evidence", project_id=project_id),
        event("mcp-legacy-audit", project_id=project_id),
    )
    assert told["remediation_summary"]["total"] == bears
    assert told["remediation_summary"]["mcp_observation_total"] == bears
