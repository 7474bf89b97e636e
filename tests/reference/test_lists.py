"""The lists, in order and filtered."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.reference import approvals, load, run_list
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
