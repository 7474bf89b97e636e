"""The CloudEvents 1.0 envelope, in structured JSON mode: the record's value is the whole event."""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict

from contracts.fields import OFFSET, TIMESTAMP, Count, Id, Text
from contracts.times import as_utc

CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
"""Value of the `content-type` header of every record."""

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

OffsetTimestamp = Annotated[
    datetime, Meta(tz=True, extra_json_schema={"pattern": f"^{TIMESTAMP}{OFFSET}$"}), as_utc
]
"""A timestamp (`contracts.events.Timestamp`) that says its offset."""

D_co = TypeVar("D_co", covariant=True)


def trace(traceparent: str | None) -> str | None:
    """Return the trace context that a text is; None for what is none.

    One that is not valid starts no trace and fails nothing (W3C Trace Context, 3.2.2.5).
    """
    is_valid = traceparent is not None and _TRACEPARENT.fullmatch(traceparent)
    return traceparent if is_valid else None


class Event(Struct, Generic[D_co], frozen=True, kw_only=True, gc=False):
    """One event: what happened, when, to which version of its entity, and the payload.

    Attributes that are not named here are ignored.
    """

    specversion: Literal["1.0"]
    """Version of the CloudEvents specification."""
    id: Id
    """Unique per event; a redelivery or a producer's retry repeats it."""
    source: Id
    """Who emitted the event."""
    type: str
    """What kind of event it is; a topic carries one kind."""
    time: OffsetTimestamp
    """When it happened."""
    entityversion: Count = 0
    """Grows with every change of the entity; of two events the greater one says its state."""
    subject: Text | None = None
    """The entity's id."""
    traceparent: Text | None = None
    """W3C trace context of what caused the event."""
    data: D_co
    """The payload."""

    def to_bytes(self) -> bytes:
        """The event as UTF-8 JSON, ready to be a record's value; what is null is left out."""
        return msgspec.json.encode(_given(self) | {"data": _given(self.data)})


def _given(part: Any) -> dict[str, Any]:
    return {name: each for name, each in asdict(part).items() if each is not None}
