"""One record's bytes to a valid event, or the reason why it is none.

The envelope is judged before the type and the type before the payload; the first that fails
names the reason. Where CloudEvents says so, a null attribute is the same as an absent one.

Two things no producer writes are left open: a name that is said twice in one object, with a value
that breaks the contract before one that does not, and a timestamp with a NUL character in it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.reference.contract import FIELDS, TYPES, ident, natural, words
from tests.reference.fields import (
    Broken,
    Fields,
    json_object,
    leaves,
    may,
    must,
    one_of,
    read_all,
    text,
    timestamp_with_offset,
)

MAX_VALUE_BYTES = 1024 * 1024
MAX_DEPTH = 200

any_text = text(0, MAX_VALUE_BYTES)

ENVELOPE = (
    *must(one_of("1.0"), "specversion"),
    *must(ident, "id", "source"),
    *must(any_text, "type"),
    *must(timestamp_with_offset, "time"),
    *may(natural, "entityversion"),
    *may(words, "subject", "traceparent"),
    *must(json_object, "data"),
)


@dataclass(frozen=True, slots=True)
class Event:
    """A valid event; `data` holds every field of its contract."""

    topic: str
    id: str
    time: datetime
    version: int
    data: dict[str, Any]

    @property
    def precedence(self) -> tuple[int, datetime, str]:
        """Among the events of one entity the greatest wins."""
        return (self.version, self.time, self.id)


class Unusable(Exception):
    """The record is no valid event: it becomes a dead letter with this reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode(topic: str, value: bytes) -> Event:
    """The event in a record's value; Unusable if there is none."""
    if len(value) > MAX_VALUE_BYTES:
        raise Unusable("too_large", f"{len(value)} bytes")
    envelope = judged("envelope", ENVELOPE, parse(value))
    if envelope["type"] != TYPES[topic]:
        raise Unusable("unknown_type", f"{envelope['type']} is not carried by {topic}")
    data = judged("payload", FIELDS[topic], envelope["data"])
    # A database text cannot hold NUL, so a row with one is refused whatever the column.
    if any("\0" in part for part in texts([envelope["id"], data])):
        raise Unusable("rejected", "a text holds a NUL character")
    return Event(topic, envelope["id"], envelope["time"], envelope["entityversion"] or 0, data)


def judged(reason: str, fields: Fields, holder: dict[str, Any]) -> dict[str, Any]:
    try:
        return read_all(fields, holder)
    except Broken as broken:
        raise Unusable(reason, str(broken)) from None


def parse(value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            value.decode("utf-8"), parse_float=number, parse_int=whole, parse_constant=refuse
        )
        for part in texts(document):
            part.encode("utf-8")  # half a surrogate pair is no character
        too_deep = depth(document) > MAX_DEPTH
    except (ValueError, RecursionError) as error:
        raise Unusable("malformed", str(error)) from None
    if too_deep:
        raise Unusable("malformed", "nested too deep")
    if not isinstance(document, dict):
        raise Unusable("malformed", "not an object")
    return document


def number(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except InvalidOperation:
        return Decimal("Infinity")


def whole(literal: str) -> int | Decimal:
    # Python refuses to make integers of more digits than this; none of them is of use here.
    return int(literal) if len(literal) <= 4300 else number(literal)


def refuse(literal: str) -> None:
    raise ValueError(f"{literal} is not JSON")


def texts(value: Any) -> Iterator[str]:
    return (each for each in leaves(value) if isinstance(each, str))


def depth(value: Any) -> int:
    """How many objects and arrays are within each other."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0)
