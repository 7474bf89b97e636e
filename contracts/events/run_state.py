"""Topic `run-state`: the state of a run, whole, each time it changes."""

from decimal import Decimal

from contracts.events.fields import (
    Contract,
    Cost,
    Count,
    EventData,
    Id,
    Int64,
    ProjectId,
    State,
    Text,
    Timestamp,
    Uuid,
)


class PendingAction(Contract):
    """What a run that waits for approval asks a human to allow."""

    tool_name: Text
    """Tool the run wants to call."""
    summary: Text | None = None
    """What the call would do, for the human who decides."""
    arguments_sha256: Text | None = None
    """SHA-256 of the arguments of the call, so that an approval covers these and no others."""
    requested_by: Text | None = None
    """Who asks; never the one who may decide."""


class RunStateChanged(EventData):
    """A full snapshot of a run. Entity: the run, `run_id`."""

    event_type = "awooop.run.state_changed.v1"

    run_id: Uuid
    """The run."""
    project_id: ProjectId
    """Project the run belongs to."""
    agent_id: Id
    """Agent that carries out the run."""
    state: State
    """State the run is in: `pending`, `running`, `waiting_approval`, `completed`, `failed`,
    `cancelled`, `timed_out`, or one that came later.
    """
    state_changed_at: Timestamp
    """When the run entered this state."""
    created_at: Timestamp
    """When the run was created."""
    is_shadow: bool = False
    """Whether the run only watches and must not act."""
    trace_id: Id | None = None
    """Trace the run is part of."""
    trigger_type: Text | None = None
    """Kind of thing that started the run."""
    trigger_ref: Text | None = None
    """What started the run: an inbound event's id, a provider's event id, or other text."""
    worker_id: Id | None = None
    """Worker that runs it."""
    cost_usd: Cost = Decimal(0)
    """Cost so far, in US dollars."""
    step_count: Count = 0
    """Steps taken so far."""
    attempt_count: Count = 0
    """Attempts made so far."""
    max_attempts: Int64 | None = None
    """Attempts allowed."""
    error_code: Text | None = None
    """Code of the error that ended the run."""
    error_detail: Text | None = None
    """The error in words."""
    started_at: Timestamp | None = None
    """When the run started to execute."""
    completed_at: Timestamp | None = None
    """When the run ended."""
    timeout_at: Timestamp | None = None
    """When the run will be given up."""
    heartbeat_at: Timestamp | None = None
    """When its worker last showed a sign of life."""
    pending_action: PendingAction | None = None
    """What a human is asked to allow."""
