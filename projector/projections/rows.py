"""The rows that projections make, each with its table's columns in the writer's order."""

from datetime import datetime
from functools import partial
from typing import Final, NamedTuple


class RunRow(NamedTuple):
    """A row of `run_fact`."""

    run_id: str
    project_id: str
    version: int
    event_time: datetime
    event_id: str
    state: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    timeout_at: datetime | None
    trigger_ref: str | None
    trigger_event: str | None
    incidents: list[str]
    listing: str
    detail: str
    pending_action: str | None
    traceparent: str | None


run_row: Final = partial(RunRow.__new__, RunRow)
"""Makes a row as calling its type does, which takes twice as long: it gathers all names first."""


class StateRow(NamedTuple):
    """A row of `run_state`."""

    run_id: str
    project_id: str
    changed_at: datetime
    state: str


class ItemRow(NamedTuple):
    """A row of `item`."""

    entity: str
    run_id: str
    project_id: str
    version: int
    event_time: datetime
    event_id: str
    ts: datetime
    rank: int
    seq: int
    tie: str
    listed_at: datetime | None
    kind: str
    title: str
    title_en: str
    status: str | None
    summary: str | None
    metadata: str
    incidents: list[str] | None
    run_version: int | None
    detail: str


item_row: Final = partial(ItemRow.__new__, ItemRow)
"""Makes a row, as `run_row` does."""


class InboundRow(NamedTuple):
    """A row of `inbound`."""

    event_uuid: str
    project_id: str
    version: int
    event_time: datetime
    event_id: str
    run_id: str | None
    provider_event_id: str | None
    channel_type: str
    received_at: datetime
    title: str
    title_en: str
    status: str
    summary: str | None
    metadata: str
    incidents: list[str]
    detail: str


class EvidenceRow(NamedTuple):
    """A row of `evidence`."""

    entity: str
    rank: int
    id: str
    incident_id: str | None
    project_id: str | None
    version: int
    event_time: datetime
    event_id: str
    created_at: datetime
    success: bool | None
    title: str
    title_en: str
    status: str
    summary: str
    metadata: str
    detail: str


class ProjectRow(NamedTuple):
    """A row of `project`."""

    project_id: str
    version: int
    event_time: datetime
    event_id: str
    detail: str


class RevisionRow(NamedTuple):
    """A row of `contract_revision`."""

    revision_id: str
    project_id: str
    version: int
    event_time: datetime
    event_id: str
    lifecycle_status: str
    created_at: datetime
    detail: str


Row = RunRow | ItemRow | InboundRow | EvidenceRow | ProjectRow | RevisionRow
"""A row that stands for one entity's winning event."""
