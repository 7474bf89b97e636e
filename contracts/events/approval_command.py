"""Topic `approval-command`: what a human has decided; written by runfold and read back."""

from typing import Literal

from contracts.events.fields import EventData, Id, Int64, ProjectId, Text, Timestamp, Uuid


class ApprovalDecided(EventData):
    """One decision on a run that waits for approval. Entity: the decision, `command_id`."""

    event_type = "awooop.run.approval_decided.v1"

    command_id: Uuid
    """The decision, and the id of its event."""
    run_id: Uuid
    """Run that was decided on."""
    project_id: ProjectId
    """Project of the run."""
    decision: Literal["approve", "reject"]
    """What was decided."""
    approver_id: Id
    """Who decided."""
    reason: Text | None = None
    """Why."""
    run_version: Int64
    """The run's `entityversion` that was decided on."""
    tool_name: Text | None = None
    """Tool the run may call now."""
    arguments_sha256: Text | None = None
    """SHA-256 of the arguments it may call the tool with."""
    approval_token: Text | None = None
    """Signed JWT that proves the approval; only when approved."""
    approval_token_jti: Text | None = None
    """Id of the token, by which its single use is checked."""
    decided_at: Timestamp
    """When it was decided."""
    new_state: Literal["running", "cancelled"]
    """State the engine is asked to move the run to."""
