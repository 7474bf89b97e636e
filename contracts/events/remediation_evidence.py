"""Topic `remediation-evidence`: what attempts to remedy an incident have shown."""

from contracts.events.fields import EventData, Id, ProjectId, Text, TextId, Timestamp


class EvidenceRecorded(EventData):
    """One item of the evidence on an incident. Entity: the item, `id`."""

    event_type = "awooop.remediation.evidence_recorded.v1"

    id: TextId
    """The item; text or integer, kept as text."""
    incident_id: Id
    """Incident it is about."""
    project_id: ProjectId | None = None
    """Project it is limited to; null bears on runs of any project."""
    work_item_id: Id | None = None
    """Work item it belongs to."""
    agent_id: Id | None = None
    """Agent that made the attempt."""
    tool_name: Text | None = None
    """Tool the attempt used."""
    required_scope: Text | None = None
    """Scope the tool needs: `read` or more."""
    mode: Text | None = None
    """How the attempt was made, a dry run for one."""
    success: bool | None = None
    """Whether it succeeded, if that is known."""
    allowed: bool | None = None
    """Whether policy allowed it, if that is known."""
    verification_result_preview: Text | None = None
    """Beginning of what verification said."""
    writes_incident_state: bool | None = None
    """Whether it writes the state of the incident."""
    writes_auto_repair_result: bool | None = None
    """Whether it writes the result of an automatic repair."""
    created_at: Timestamp
    """When it was recorded."""
