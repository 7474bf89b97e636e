"""Projects and contract revisions."""

from contracts.envelope import Event
from contracts.events import ProjectUpserted, RevisionUpserted
from contracts.keys import index_key
from projector.projections.rows import ProjectRow, RevisionRow
from projector.projections.text import dumps, fields


def project(event: Event[ProjectUpserted]) -> ProjectRow:
    """Return the row of a project whose winning event this is."""
    data = event.data
    return ProjectRow(
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        detail=dumps(fields(data)),
    )


def revision(event: Event[RevisionUpserted]) -> RevisionRow:
    """Return the row of a contract revision whose winning event this is."""
    data = event.data
    return RevisionRow(
        revision_id=data.revision_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        lifecycle_status=index_key(data.lifecycle_status),
        created_at=data.created_at,
        detail=dumps(fields(data)),
    )
