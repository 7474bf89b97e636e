"""From the bytes of one record to a typed event, or to the reason why it is none.

Nothing is raised for what a producer may have sent: whatever the bytes are, the answer is an
`Event` or an `Undecodable`, so that one bad record never stops its partition.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from contracts.envelope import Event
from contracts.events import Payload
from contracts.quick_decoding import QuickReader
from contracts.topics import TOPICS, Topic

MAX_VALUE_BYTES: Final = 1_048_576
"""Most bytes that the value of a record may have."""
MAX_MESSAGE_LENGTH: Final = 500
"""Most characters of a message that says why a record is no event."""


class _Reader(NamedTuple):
    """What it takes to read the events of one topic."""

    quick: QuickReader
    validate: Callable[[bytes], Event[Payload]]
    type: str
    long_amount: re.Pattern[bytes] | None


def _reader(topic: Topic) -> _Reader:
    validate = topic.event.__pydantic_validator__.validate_json
    field = _AMOUNTS.get(topic.suffix)
    long_amount = re.compile(b'("%b"' % field + _LONG) if field else None
    return _Reader(QuickReader(topic), validate, topic.type, long_amount)


_AMOUNTS: Final = {"run-state": b"cost_usd", "project": b"budget_limit_usd"}
# Numbers are read as 64-bit floats; one that has 16 characters or more, or an exponent, might not
# survive that and is made a text, which is read digit by digit.
_LONG: Final = (
    rb"\s*:\s*)(?=-?[0-9.]{16}|-?[0-9.]+[eE])"
    rb"(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?=\s*[,}])"
)
_READERS: Final = {topic.suffix: _reader(topic) for topic in TOPICS}


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
    `unknown_type`, `payload`; the message of the last names the field. The event has the
    attributes of its model without being one: it is made many times as fast.
    Raises KeyError for a suffix that is no topic, and nothing for any value.
    """
    return _READERS[suffix].quick.read(value) or by_models(suffix, value)


def by_models(suffix: str, value: bytes) -> Event[Payload] | Undecodable:
    """What `decode` answers: the models alone say what is an event and what is not."""
    reader = _READERS[suffix]
    if len(value) > MAX_VALUE_BYTES:
        return _undecodable(
            Reason.TOO_LARGE, f"{len(value)} bytes; an event has at most {MAX_VALUE_BYTES}"
        )
    if _may_hold_constants(value) and not _is_json(value):
        return _undecodable(Reason.MALFORMED, "not JSON in UTF-8: NaN or Infinity for a number")
    if reader.long_amount and reader.long_amount.search(value):
        value = reader.long_amount.sub(rb'\1"\2"', value)
    try:
        event = reader.validate(value)
    except ValidationError as error:
        return _why_not(reader.type, value, error)
    if event.type != reader.type:
        return _unknown_type(reader.type, event.type)
    return reader.quick.like(event)


def _why_not(expected: str, value: bytes, error: ValidationError) -> Undecodable:
    errors = error.errors(include_url=False, include_input=False)
    if not errors[0]["loc"]:
        return _undecodable(Reason.MALFORMED, _problem(errors))
    envelope = [each for each in errors if each["loc"][0] != "data" or len(each["loc"]) == 1]
    if envelope:
        return _undecodable(Reason.ENVELOPE, _problem(envelope))
    carried = from_json(value)["type"]
    if carried != expected:
        return _unknown_type(expected, carried)
    return _undecodable(Reason.PAYLOAD, _problem(errors))


def _problem(errors: list[ErrorDetails]) -> str:
    """The first problem with the path of its field, and how many more there are."""
    first = errors[0]
    text = first["msg"].removeprefix("Value error, ")
    path = ".".join(map(str, first["loc"])) or "value"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{path}: {text[:1].lower()}{text[1:]}{more}"


def _unknown_type(expected: str, carried: str) -> Undecodable:
    return _undecodable(
        Reason.UNKNOWN_TYPE, f'type: the topic carries "{expected}", not "{carried[:200]}"'
    )


def _undecodable(reason: Reason, message: str) -> Undecodable:
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in message)
    return Undecodable(reason, line[:MAX_MESSAGE_LENGTH])


def _may_hold_constants(value: bytes) -> bool:
    """Whether NaN or Infinity may be in it, which the validator reads and JSON does not have."""
    # a single byte is searched for an order of magnitude faster, and most values have neither
    return (b"N" in value and b"NaN" in value) or (b"I" in value and b"Infinity" in value)


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
