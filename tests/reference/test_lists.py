"""The lists, in order and filtered."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.reference import approvals, channel_events, contracts, counts, load, projects, run_list
from tests.reference.given import (
    COMMAND,
    INBOUND,
    INCIDENT,
    OTHER_RUN,
    RUN,
    at,
    event,
    run_with_incident,
)

START = datetime(2026, 5, 18, 6, tzinfo=UTC)
RUNS = load(
    [
        event("run-state"),
        run_with_incident(run_id=OTHER_RUN.upper(), state="failed"),
        event("run-state", run_id=COMMAND, project_id="q", created_at=at(5)),
    ]
)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [COMMAND, OTHER_RUN, RUN]),
        ({"project_ids": {"p"}}, [OTHER_RUN, RUN]),
        ({"states": {"failed", "pending"}}, [OTHER_RUN]),
        ({"remediation_statuses": {"blocked"}}, []),
        ({"incident_id": INCIDENT}, [OTHER_RUN]),
        ({"created_after": START}, [COMMAND, OTHER_RUN, RUN]),
        ({"created_after": START.replace(microsecond=1)}, [COMMAND]),
        ({"created_before": START.replace(second=5)}, [OTHER_RUN, RUN]),
    ],
)
def test_runs_newest_first_and_filtered(filters: dict[str, Any], found: list[str]) -> None:
    assert [row["run_id"] for row in run_list(RUNS, **filters)] == found


def test_counts() -> None:
    told = [(row["state"], row["remediation_status"], row["total"]) for row in counts(RUNS, {"p"})]
    assert told == [("failed", "no_evidence", 1), ("running", "no_evidence", 1)]


def test_approvals_are_those_whose_present_version_is_not_decided_oldest_first() -> None:
    def waiting(run_id: str, **data: Any) -> Any:
        return event("run-state", version=2, state="waiting_approval", run_id=run_id, **data)

    def decided(run_id: str, version: int, **data: Any) -> Any:
        return event("approval-command", run_version=version, run_id=run_id, **data)

    later = decided(INBOUND, 2, command_id=RUN, decided_at=at(9))
    platform = load(
        [
            *(waiting(RUN, created_at=at(1)), decided(RUN, 1, command_id=OTHER_RUN)),
            *(waiting(COMMAND), waiting(OTHER_RUN), decided(OTHER_RUN, 3, command_id=INBOUND)),
            *(later, waiting(INBOUND), decided(INBOUND, 2, approver_id="bob")),
        ]
    )
    assert [row["run_id"] for row in approvals(platform)] == [OTHER_RUN, COMMAND, RUN]
    [*_, done, _] = approvals(platform, include_decided=True)
    told = {"command_id": COMMAND, "decision": "approve", "approver_id": "bob"}
    assert done["decision"] == told | {"decided_at": at(1), "status": "published"}


def test_channel_events_newest_first_by_prefix_and_a_hundred_at_most() -> None:
    platform = load(
        [
            event("conversation-event", provider_event_id="tg_1"),
            event("conversation-event", event_id=COMMAND, provider_event_id="tg%1"),
            event("conversation-event", event_id=RUN, received_at=at(9), channel_type="line"),
        ]
    )
    assert [row["event_id"] for row in channel_events(platform)] == [RUN, INBOUND, COMMAND]
    prefixed = channel_events(platform, provider_prefix="tg_")
    assert [row["event_id"] for row in prefixed] == [INBOUND]
    assert len(channel_events(platform, channel_type="slack", limit=1)) == 1
    many = load(event("conversation-event", event_id=f"{RUN[:-3]}{n:03}") for n in range(101))
    assert (len(channel_events(many)), len(channel_events(many, limit=1000))) == (50, 100)


def test_projects_by_id_and_contracts_newest_first() -> None:
    names = ("é", "a", "B")
    revisions = [event("contract-revision", revision_id=name) for name in names]
    platform = load([*revisions, *(event("project", project_id=name) for name in names)])
    assert [row["project_id"] for row in projects(platform)] == ["B", "a", "é"]
    assert [row["revision_id"] for row in contracts(platform)] == ["é", "a", "B"]
    assert contracts(platform, lifecycle_status="active") == []
