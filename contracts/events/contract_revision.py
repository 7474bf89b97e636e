"""Topic `contract-revision`: revisions of the contracts that agents work under."""

from contracts.events.fields import Count, EventData, Id, ProjectId, Text, Timestamp


class RevisionUpserted(EventData):
    """A revision of a contract as it is now. Entity: the revision, `revision_id`."""

    event_type = "awooop.contract.revision_upserted.v1"

    revision_id: Id
    """The revision."""
    contract_id: Id
    """Contract it is a revision of."""
    contract_family: Text
    """Kind of contract."""
    lifecycle_status: Text
    """Where it stands between draft and retirement."""
    body_hash: Text
    """Hash of the contract's text."""
    version_major: Count
    """Major version."""
    version_minor: Count
    """Minor version."""
    project_id: ProjectId
    """Project the contract belongs to."""
    created_at: Timestamp
    """When the revision was created."""
