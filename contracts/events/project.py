"""Topic `project`: the projects of the platform, one record each."""

from contracts.events.fields import Amount, EventData, ProjectId, Text, Timestamp


class ProjectUpserted(EventData):
    """A project as it is now. Entity: the project, `project_id`."""

    event_type = "awooop.project.upserted.v1"

    project_id: ProjectId
    """The project."""
    display_name: Text
    """Its name for people."""
    migration_mode: Text | None = None
    """How far it has moved to the platform."""
    budget_limit_usd: Amount | None = None
    """Most it may spend, in US dollars; null is no limit."""
    is_active: bool = True
    """Whether its agents may run."""
    created_at: Timestamp
    """When it was created."""
