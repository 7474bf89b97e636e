"""One generated event: the record's topic, key and bytes, and when it happened."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from contracts.topics import by_suffix

SECOND: Final = 1_000_000
"""Moments and durations of the generator are whole microseconds, moments since 1970."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_WITHOUT_OFFSET: Final = _EPOCH.replace(tzinfo=None)


class Generated(NamedTuple):
    """A record to publish, its topic by suffix."""

    at: int
    topic: str
    key: str
    value: bytes

    @property
    def line(self) -> bytes:
        """The record as a line of JSONL, as `runfold publish` reads it."""
        head = orjson.dumps({"topic": self.topic, "key": self.key})
        return head[:-1] + b',"value":' + self.value + b"}\n"


def micros(moment: datetime) -> int:
    """The moment in microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def timestamp(at: int) -> str:
    """RFC 3339 text with six digits after the second."""
    # Without an offset `isoformat` is twice as fast, and UTC is known to be meant.
    moment = _EPOCH_WITHOUT_OFFSET + timedelta(microseconds=at)
    return moment.isoformat(timespec="microseconds") + "Z"


def generated(
    at: int,
    suffix: str,
    key: str,
    data: Mapping[str, Any],
    *,
    identity: str,
    source: str,
    version: int = 0,
    subject: str | None = None,
) -> Generated:
    """The record of one CloudEvent in structured JSON mode, as it happened at `at`."""
    value = orjson.dumps(
        {
            "specversion": "1.0",
            "id": identity,
            "source": source,
            "type": by_suffix(suffix).type,
            "time": timestamp(at),
            "entityversion": version,
            "subject": subject or key,
            "data": data,
        }
    )
    return Generated(at, suffix, key, value)
