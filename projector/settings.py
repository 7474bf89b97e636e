"""Settings of the projector and of the commands around it."""

from pydantic import Field

from contracts.settings import DatabaseSettings, KafkaSettings, LogSettings
from contracts.topics import DEFAULT_PARTITIONS


class TopicSettings(KafkaSettings, LogSettings):
    """What is needed to create topics."""

    partitions: int = Field(default=DEFAULT_PARTITIONS, ge=1, le=10_000)
    """Partitions of a topic that is created; existing topics keep theirs."""


class ProjectorSettings(DatabaseSettings, TopicSettings):
    """What a worker needs."""

    poll_max_records: int = Field(default=4_000, ge=1, le=100_000)
    """Most records a worker takes in one poll. It writes them 2,000 a transaction, and decodes
    the next ones meanwhile."""
    poll_max_bytes: int = Field(default=8 * 1_048_576, ge=65_536, le=1_073_741_824)
    """Bytes of records, as the broker keeps them, that a worker takes in one poll at most. It holds
    two polls, one being written: the bound of its memory, whatever the backlog; of compressed
    topics it is what these bytes become. A single larger record is still taken."""
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    """Address a worker gives its metrics at."""
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """Port a worker gives its metrics at, for Prometheus; 0 is any free one, none when unset."""
    tracing: bool = False
    """Whether polls are traced with OpenTelemetry; needs `runfold[otel]`, and its own variables
    (`OTEL_EXPORTER_OTLP_ENDPOINT` and others) say where to."""
    stream_keep_seconds: float = Field(default=3_600, ge=1, le=604_800)
    """How long changes of runs are kept for clients of `/v1/stream` that come back."""
