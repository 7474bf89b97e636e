"""The lists, in order and filtered."""

from datetime import UTC, datetime
from typing import Any

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


def test_runs_in_order_and_filtered() -> None:
    platform = load(
        [
            event("run-state"),
            run_with_incident(run_id=OTHER_RUN.upper(), state="failed"),
            event("run-state", run_id=COMMAND, project_id="q", created_at=at(5)),
        ]
    )

    def ids(**filters: Any) -> list[str]:
        return [row["run_id"] for row in run_list(platform, **filters)]

    assert ids() == [COMMAND, OTHER_RUN, RUN]
    assert ids(project_ids={"p"}) == [OTHER_RUN, RUN]
    assert ids(states={"failed", "pending"}) == [OTHER_RUN]
    assert ids(remediation_statuses={"blocked"}) == []
    assert ids(incident_id=INCIDENT) == [OTHER_RUN]
    start = datetime(2026, 5, 18, 6, tzinfo=UTC)
    assert ids(created_after=start) == [COMMAND, OTHER_RUN, RUN]
    assert ids(created_after=start.replace(microsecond=1)) == [COMMAND]
    assert ids(created_before=start.replace(second=5)) == [OTHER_RUN, RUN]
    assert counts(platform, {"p"}) == [
        {"project_id": "p", "state": state, "remediation_status": "no_evidence", "total": 1}
        for state in ("failed", "running")
    ]


def test_approvals_of_the_present_version() -> None:
    waiting = event("run-state", state="waiting_approval", version=2)
    stale = event("approval-command", run_version=1)
    assert [row["decision"] for row in approvals(load([waiting, stale]))] == [None]
    first = event("approval-command", run_version=2, approver_id="bob")
    later = event("approval-command", run_version=2, command_id=INBOUND, decided_at=at(9))
    only = load([later, waiting, first])
    assert approvals(only) == []
    assert approvals(only, include_decided=True)[0]["decision"] == {
        "command_id": COMMAND,
        "decision": "approve",
        "approver_id": "bob",
        "decided_at": at(1),
        "status": "published",
    }


def test_channel_events() -> None:
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


def test_projects_and_contracts() -> None:
    platform = load(
        [
            *(event("project", project_id=name) for name in ("é", "a", "B")),
            *(event("contract-revision", revision_id=name) for name in ("é", "a", "B")),
        ]
    )
    assert [row["project_id"] for row in projects(platform)] == ["B", "a", "é"]
    assert [row["revision_id"] for row in contracts(platform)] == ["é", "a", "B"]
    assert contracts(platform, lifecycle_status="active") == []


def test_approvals_are_oldest_first() -> None:
    waiting = [
        event("run-state", run_id=run_id, state="waiting_approval", created_at=at(second))
        for run_id, second in ((COMMAND, 1), (OTHER_RUN, 1), (RUN, 2))
    ]
    assert [row["run_id"] for row in approvals(load(waiting))] == [OTHER_RUN, COMMAND, RUN]


def test_a_decision_on_a_version_to_come_is_not_on_this_one() -> None:
    records = [event("run-state", state="waiting_approval"), event("approval-command")]
    assert approvals(load(records)) == []
    ahead = [records[0], event("approval-command", run_version=1)]
    assert len(approvals(load(ahead))) == 1


def test_channel_events_are_a_hundred_at_most() -> None:
    many = [event("conversation-event", event_id=f"{RUN[:-3]}{n:03}") for n in range(101)]
    assert len(channel_events(load(many))) == 50
    assert len(channel_events(load(many), limit=1000)) == 100
