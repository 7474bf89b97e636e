"""Projects and contract revisions: rows of `project` and `contract_revision`."""

from contracts.envelope import Event
from contracts.events import ProjectUpserted, RevisionUpserted
from contracts.keys import index_key
from projector.projections.rows import Row, dumps, fields


def project(event: Event[ProjectUpserted]) -> Row:
    """Return the row of a project."""
    return {"detail": dumps(fields(event.data))}


def revision(event: Event[RevisionUpserted]) -> Row:
    """Return the row of a contract revision."""
    data = event.data
    return {
        "revision_id": data.revision_id,
        "lifecycle_status": index_key(data.lifecycle_status),
        "created_at": data.created_at,
        "detail": dumps(fields(data)),
    }
