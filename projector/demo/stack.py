"""The embedded stack: PostgreSQL and a Kafka-compatible broker, nothing to install."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from projector.demo.broker import EmbeddedBroker
from projector.demo.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class EmbeddedStack:
    """Where the two running servers are reached."""

    database_url: str
    kafka_bootstrap: str


@contextmanager
def embedded_stack() -> Iterator[EmbeddedStack]:
    """Run both servers on free loopback ports while the block runs; then both and all data end.

    ServerError, with nothing left running, when one of them does not start.
    """
    with EmbeddedPostgres() as postgres, EmbeddedBroker() as broker:
        yield EmbeddedStack(postgres.url, broker.bootstrap)
