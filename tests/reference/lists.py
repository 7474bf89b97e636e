"""The lists of the read API as rows, unpaged; a `project_ids` of None is a bearer of all."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any

from tests.reference.belonging import own
from tests.reference.decoding import Event
from tests.reference.plain import pick, plain
from tests.reference.platform import Platform, Row
from tests.reference.summary import remediation_summary

Answer = list[dict[str, Any]]
Ids = Collection[str] | None

RUN_FIELDS = ("run_id", "project_id", "agent_id", "state", "is_shadow", "cost_usd", "step_count")
APPROVAL_FIELDS = ("run_id", "project_id", "agent_id", "created_at", "timeout_at")
INBOUND_FIELDS = ("event_id", "project_id", "channel_type", "provider_event_id", "channel_chat_id")


def wanted(value: str, among: Ids) -> bool:
    return among is None or value in among


def run_list(
    platform: Platform,
    project_ids: Ids = None,
    *,
    states: Ids = None,
    remediation_statuses: Ids = None,
    incident_id: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> Answer:
    """Every run that passes all filters, newest first; the range has its start and not its end."""
    rows = [
        run_row(platform, run)
        for run in reversed(platform.winners["run-state"])
        if wanted(run.data["project_id"], project_ids)
        and wanted(run.data["state"], states)
        and (created_after is None or run.data["created_at"] >= created_after)
        and (created_before is None or run.data["created_at"] < created_before)
    ]
    return [
        row
        for row in rows
        if wanted(row["remediation_summary"]["status"], remediation_statuses)
        and (incident_id is None or incident_id in row["remediation_summary"]["incident_ids"])
    ]


def run_row(platform: Platform, run: Event) -> Row:
    return {
        **pick(run.data, *RUN_FIELDS, "created_at", "timeout_at"),
        "remediation_summary": remediation_summary(platform, run),
    }


def counts(platform: Platform, project_ids: Ids = None) -> Answer:
    """How many runs there are of each project, state and remediation status, in that order."""
    found = Counter(
        (row["project_id"], row["state"], row["remediation_summary"]["status"])
        for row in run_list(platform, project_ids)
    )
    return [
        {"project_id": project, "state": state, "remediation_status": status, "total": total}
        for (project, state, status), total in sorted(found.items())
    ]


def approvals(
    platform: Platform,
    project_ids: Ids = None,
    *,
    remediation_statuses: Ids = None,
    include_decided: bool = False,
) -> Answer:
    """The runs that wait for a human, oldest first."""
    rows = [
        approval_row(platform, run)
        for run in platform.winners["run-state"]
        if run.data["state"] == "waiting_approval" and wanted(run.data["project_id"], project_ids)
    ]
    return [
        row
        for row in rows
        if wanted(row["remediation_summary"]["status"], remediation_statuses)
        and (include_decided or row["decision"] is None)
    ]


def approval_row(platform: Platform, run: Event) -> Row:
    return {
        **pick(run.data, *APPROVAL_FIELDS),
        "run_version": run.version,
        "pending_action": plain(run.data["pending_action"]),
        "decision": decision_of(platform, run),
        "remediation_summary": remediation_summary(platform, run),
    }


def decision_of(platform: Platform, run: Event) -> Row | None:
    """The first decision on the version the run is at, as the topic tells it."""
    for row in own(platform, run, "approval-command"):
        if row["run_version"] == run.version:
            told = pick(row, "command_id", "decision", "approver_id", "decided_at")
            return told | {"status": "published"}
    return None


def channel_events(
    platform: Platform,
    project_ids: Ids = None,
    *,
    channel_type: str | None = None,
    provider_prefix: str | None = None,
    limit: int = 50,
) -> Answer:
    """Inbound events, newest first, at most `limit` and never more than 100."""
    found = [
        pick(row, *INBOUND_FIELDS, "content_preview", "is_duplicate", "received_at")
        for row in reversed(platform.rows("conversation-event"))
        if wanted(row["project_id"], project_ids)
        and channel_type in {None, row["channel_type"]}
        and (row["provider_event_id"] or "").startswith(provider_prefix or "")
    ]
    return found[: min(limit, 100)]


def projects(platform: Platform, project_ids: Ids = None) -> Answer:
    """The projects by their id."""
    rows = platform.rows("project")
    return [plain(row) for row in rows if wanted(row["project_id"], project_ids)]


def contracts(
    platform: Platform, project_ids: Ids = None, *, lifecycle_status: str | None = None
) -> Answer:
    """The contract revisions, newest first."""
    return [
        plain(row)
        for row in reversed(platform.rows("contract-revision"))
        if wanted(row["project_id"], project_ids)
        and lifecycle_status in {None, row["lifecycle_status"]}
    ]
