"""One record as it lies on a topic: what the reference model reads and the histories write."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the topic with this suffix. A `value` of None is a tombstone."""

    topic: str
    key: str | None
    value: bytes | None
