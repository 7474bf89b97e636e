"""From the bytes of one record to a typed event, or to the reason why it is none.

Nothing is raised for what a producer may have sent: whatever the bytes are, the answer is an
`Event` or an `Undecodable`, so that one bad record never stops its partition.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final, cast, get_args, get_type_hints

import msgspec
from msgspec import Raw, Struct, ValidationError
from msgspec.structs import force_setattr

from contracts.envelope import Event
from contracts.events import Payload
from contracts.fields import Count
from contracts.topics import TOPICS

MAX_VALUE_BYTES: Final = 1_048_576
"""Most bytes that the value of a record may have."""
MAX_DEPTH: Final = 200
"""Most objects and arrays within each other: what is stored of an event can be written as JSON."""
MAX_MESSAGE_LENGTH: Final = 500
"""Most characters of a message that says why a record is no event."""


class Reason(StrEnum):
    """Why a record is parked as a dead letter."""

    MALFORMED = "malformed"
    """Not JSON in UTF-8, or not an object."""
    ENVELOPE = "envelope"
    """An attribute of the envelope is missing or wrong."""
    UNKNOWN_TYPE = "unknown_type"
    """A type of event that its topic does not carry."""
    PAYLOAD = "payload"
    """The payload breaks its model."""
    TOO_LARGE = "too_large"
    """More bytes than an event may have."""
    REJECTED = "rejected"
    """The database refused the row; decoding cannot tell."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Why bytes are no event: the reason, and one printable line for people."""

    reason: Reason
    message: str


def decode(suffix: str, value: bytes) -> Event[Payload] | Undecodable:
    """The event that a record of the topic with this suffix carries, or why it carries none.

    The first of these that holds is the reason: `too_large`, `malformed`, `envelope`,
    `unknown_type`, `payload`; the message of `envelope` and `payload` names the field.
    Raises KeyError for a suffix that is no topic, and nothing for any value.
    """
    if len(value) > MAX_VALUE_BYTES:
        return _undecodable(
            Reason.TOO_LARGE, f"{len(value)} bytes; an event has at most {MAX_VALUE_BYTES}"
        )
    try:
        return _read(*_TOPICS[suffix], value)
    except ValueError as error:
        return _undecodable(Reason.MALFORMED, f"not JSON in UTF-8: {error}")


def _read(
    carried: str, read_payload: Callable[[Raw], Payload], value: bytes
) -> Event[Payload] | Undecodable:
    """Raises ValueError for what is no JSON."""
    _look_over(value)
    try:
        event = _read_envelope(value)
    except ValidationError as error:
        msgspec.json.decode(value, type=Raw)  # the rest of it may be no JSON
        path, problem = _parts(error)
        if not path:
            return _undecodable(Reason.MALFORMED, problem)
        return _undecodable(Reason.ENVELOPE, f"{path[1:]}: {problem}")
    if event.entityversion is None:
        force_setattr(event, "entityversion", 0)
    if event.type != carried and bytes(event.data).startswith(b"{"):
        return _undecodable(
            Reason.UNKNOWN_TYPE, f'type: the topic carries "{carried}", not "{event.type[:200]}"'
        )
    try:
        force_setattr(event, "data", read_payload(event.data))
    except ValidationError as error:
        path, problem = _parts(error)
        return _undecodable(Reason.PAYLOAD if path else Reason.ENVELOPE, f"data{path}: {problem}")
    return cast("Event[Payload]", event)


def _look_over(value: bytes) -> None:
    """Raise ValueError for what msgspec would not mind: it skips what nobody reads."""
    if not value.isascii():
        value.decode()
    # an object in another one takes five bytes, `{"":}`; short values need no look at each byte
    if (
        (b"[" in value or len(value) > 5 * MAX_DEPTH)
        and value.count(b"{") + value.count(b"[") > MAX_DEPTH
        and _depth(value) > MAX_DEPTH
    ):
        raise ValueError(f"nested more than {MAX_DEPTH} deep")


_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.?[^"\\]*)*"?', re.DOTALL)


def _depth(value: bytes) -> int:
    marks = (mark for mark in _STRING.sub(b"", value) if mark in b"{[]}")
    return max(accumulate(1 if mark in b"{[" else -1 for mark in marks), default=0)


class _Received(Event[Raw], frozen=True, kw_only=True):
    """An envelope as it comes: an attribute that is null is an attribute that is not set."""

    entityversion: Count | None = 0  # type: ignore[assignment]


def _reader(model: type[Struct]) -> Callable[[Any], Any]:
    """Return the function that reads JSON as a model: with the values that its types make."""
    decoded = msgspec.json.Decoder(model).decode
    hints = get_type_hints(model, include_extras=True)
    conversions = [
        (name, convert)
        for name in model.__struct_fields__
        if (convert := _conversion(hints[name])) is not None
    ]

    def read(value: bytes | Raw) -> Struct:
        """Raises msgspec.DecodeError."""
        found = decoded(value)
        for name, convert in conversions:
            if (part := getattr(found, name)) is None:
                continue
            try:
                if (made := convert(part)) is not part:
                    force_setattr(found, name, made)
            except ValueError as error:
                raise ValidationError(f"{error} - at `$.{name}`") from None
        return found

    return read


def _conversion(hint: Any) -> Callable[[Any], Any] | None:
    """Return the function that stands in a type of `contracts.fields`, or in that of `T | None`."""
    for each in (hint, *get_args(hint)):
        for mark in getattr(each, "__metadata__", ()):
            if callable(mark):
                return cast("Callable[[Any], Any]", mark)
    return None


_read_envelope: Final[Callable[[bytes], _Received]] = _reader(_Received)
_TOPICS: Final = {topic.suffix: (topic.type, _reader(topic.model)) for topic in TOPICS}


_MISSING: Final = re.compile("Object missing required field `(.*)`")


def _parts(error: ValidationError) -> tuple[str, str]:
    """Return the path of the field that is wrong (`.run_id`; empty for all) and the problem."""
    problem, _, path = str(error).rpartition(" - at `$")
    problem, path = (problem, path[:-1]) if problem else (path, "")
    if missing := _MISSING.fullmatch(problem):
        return f"{path}.{missing[1]}", "missing"
    return path, problem[:1].lower() + problem[1:]


def _undecodable(reason: Reason, message: str) -> Undecodable:
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in message)
    return Undecodable(reason, line[:MAX_MESSAGE_LENGTH])
