"""The approval queue, and what became of a decision."""

from datetime import datetime
from typing import Literal

from api.models.base import Answer, Count, DecisionMade, Uuid, View
from api.models.detail import PendingAction
from api.models.runs import RemediationSummary

Verdict = Literal["approve", "reject"]
CommandStatus = Literal["pending", "published", "applied"]


class Decision(DecisionMade):
    """A decision made on a run's present version."""

    status: CommandStatus


class Decided(Answer):
    """A decision that has been made."""

    run_id: Uuid
    decision: Verdict
    new_state: Literal["running", "cancelled"]
    """State the engine is asked to move the run to; the run is not there before the engine says so.
    """
    approval_token_jti: str | None
    """Id of the approval token; null on reject."""
    command_id: Uuid
    """Names the decision: `/v1/approvals/commands/{command_id}` says what becomes of it."""
    status: CommandStatus


class Approval(Answer):
    """A run that waits for a human."""

    run_id: Uuid
    project_id: str
    agent_id: str
    created_at: datetime
    timeout_at: datetime | None
    """Until when it can be decided on."""
    run_version: Count
    """Version a decision is about."""
    pending_action: PendingAction | None
    """What it asks to be allowed."""
    decision: Decision | None
    """Decision on this version, if there is one."""
    remediation_summary: RemediationSummary


class Approvals(View):
    """The runs that wait for a human, oldest first."""

    approvals: list[Approval]
    total: Count
    """How many they are."""
    items: list[Approval]
    """The same as `approvals`."""


class Command(View):
    """What became of a decision."""

    command_id: Uuid
    run_id: Uuid
    decision: Verdict
    status: CommandStatus
    """`applied`: the run has left the version that was decided on."""
    published_at: datetime | None
    """When the decision was published; null while it waits in the outbox."""
    applied_at: datetime | None
    """When the run left the version decided on."""
