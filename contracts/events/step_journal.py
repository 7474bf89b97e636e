"""Topic `step-journal`: the steps a run takes."""

from contracts.events.fields import Count, EventData, Id, Int64, ProjectId, Text, Timestamp, Uuid


class StepRecorded(EventData):
    """One step of a run. Entity: the step, `run_id` and `step_id`."""

    event_type = "awooop.run.step_recorded.v1"

    step_id: Id
    """The step, unique within its run."""
    run_id: Uuid
    """Run that took the step."""
    project_id: ProjectId
    """Project of the run."""
    step_seq: Count
    """Place of the step in its run."""
    tool_name: Text
    """Tool that was called."""
    result_status: Text
    """How the step ended."""
    was_blocked: bool = False
    """Whether a policy stopped the step."""
    block_reason: Text | None = None
    """Why it was stopped."""
    error_code: Text | None = None
    """Code of the error it ended with."""
    latency_ms: Int64 | None = None
    """Time the step took, in milliseconds."""
    created_at: Timestamp
    """When the step began."""
    completed_at: Timestamp | None = None
    """When the step ended."""
