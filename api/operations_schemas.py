"""What operators and monitoring are answered, as the OpenAPI document states it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import WithJsonSchema

from api.queries.operations import DeadLetterStatus
from api.schemas import Answer, Count, Page, View
from contracts.decoding import Reason

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
    """Null when no worker has the partition."""
    last_error: str | None
    """What its worker waits for."""
    worker_id: str | None
    updated_at: datetime | None


class TopicProgress(Answer):
    """How much of a topic, or of a file, is loaded."""

    topic: str
    done: Count
    total: Count
    """Events it holds; 0 when that is not known."""


class RebuildProgress(Answer):
    """A generation that is being built."""

    generation: str
    phase: str
    is_running: bool
    """Whether a process builds it; otherwise it can be resumed or dropped."""
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
    """The record's key; what is not UTF-8 in it is replaced by U+FFFD."""
    status: DeadLetterStatus
    created_at: datetime


class DeadLetterPage(Page):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetter]


class DeadLetterDetail(View, DeadLetter):
    """A dead letter with the bytes it came as."""

    headers: list[tuple[str, Base64 | None]]
    """The record's headers in order, their values in base64."""
    key_base64: Base64 | None
    value_base64: Base64
    changed_at: datetime | None
    changed_by: str | None


class DeadLetterRequested(Answer):
    """What has become of a request to retry or discard a dead letter."""

    id: int
    status: DeadLetterStatus
    """`parked` while no worker has carried the request out."""


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
    workers: Count
    lag: Count
    max_lag: Count
