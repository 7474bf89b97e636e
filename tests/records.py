"""Kafka records for tests that need no broker."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PREFIX = "awooop."


@dataclass(slots=True)
class FakeRecord:
    """What the projector reads of a record, at a place in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = 0


def record(suffix: str, offset: int, value: Any, partition: int = 0) -> FakeRecord:
    """A record of a topic; a value that is no bytes is written as JSON."""
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return FakeRecord(PREFIX + suffix, partition, offset, b"key", raw)
