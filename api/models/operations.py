"""The projection's progress, dead letters, keys and health."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import WithJsonSchema

from api.models.base import Answer, Count, View
from contracts.decoding import Reason

DeadLetterStatus = Literal["parked", "retried", "discarded"]
Base64 = Annotated[str, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]


class PartitionProgress(Answer):
    """Where the projection of one partition stands."""

    topic: str
    partition: Count
    position: Count | None
    """Next offset to read; null before the first record."""
    end: Count | None
    """Offset after the last record; null when no worker has the partition."""
    lag: Count | None
    """Events behind; null when the end is not known."""
    events_per_second: float | None
    """Speed of late; null when no worker has the partition."""
    last_error: str | None
    """What keeps its worker from going on."""
    worker_id: str | None
    """Worker that has the partition."""
    updated_at: datetime | None
    """When the position last moved."""


class TopicProgress(Answer):
    """How much of a topic, or of a file, is loaded."""

    topic: str
    done: Count
    total: Count
    """Events it holds; 0 when that is not known."""


class RebuildProgress(Answer):
    """How far a generation is that is being made."""

    generation: str
    phase: str
    is_running: bool
    """Whether somebody is at it; otherwise it can be resumed or dropped."""
    done: Count
    """Events, or runs while these are derived."""
    total: Count
    events_per_second: float | None
    topics: list[TopicProgress]
    error: str | None
    """What ended it the last time."""
    started_at: datetime
    updated_at: datetime


class ProjectionProgress(View):
    """Where the projection stands."""

    generation: str
    """The generation that was read: the active one, unless another was named."""
    partitions: list[PartitionProgress]
    lag: Count | None
    """Events behind over all partitions; null when no end is known."""
    rebuilds: list[RebuildProgress]
    """Those that are not done."""


class DeadLetter(Answer):
    """A record that could not be used."""

    id: int
    reason: Reason
    message: str
    """Why it could not be used, for people."""
    topic: str
    partition: Count
    offset: Count
    key: str | None
    """The record's key; what is no UTF-8 in it is replaced by U+FFFD."""
    status: DeadLetterStatus
    created_at: datetime


class DeadLetterPage(View):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetter]
    total: Count
    """Exact number of dead letters the filters find."""
    next_cursor: str | None
    """Cursor of the next page; null on the last one."""


class DeadLetterDetail(View, DeadLetter):
    """A dead letter with the bytes it came as."""

    headers: list[tuple[str, Base64 | None]]
    """The record's headers in order, their values in base64."""
    key_base64: Base64 | None
    """The record's key."""
    value_base64: Base64
    """The record's value."""
    changed_at: datetime | None
    """When it was retried or discarded."""
    changed_by: str | None
    """Who did that."""


class DeadLetterRequested(Answer):
    """What has become of a request to retry or discard a dead letter."""

    id: int
    status: DeadLetterStatus
    """What has become of the dead letter; `parked` while no worker has carried the request out."""


class Key(Answer):
    """A public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    """The key's thumbprint (RFC 7638)."""
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class KeySet(Answer):
    """The keys that approval tokens are signed with."""

    keys: list[Key]


class Health(Answer):
    """The process is there."""

    status: Literal["ok"]


class Ready(Answer):
    """The views can be read and are being kept up."""

    status: Literal["ready"]
    generation: str
    """The active generation."""
    workers: Count
    """Workers seen of late."""
    lag: Count
    """Events behind, over all partitions."""
    max_lag: Count
    """Most events it may be behind."""
