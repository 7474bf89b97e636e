"""What each kind of field may hold: a check returns the value as it is kept or raises Broken."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

Check = Callable[[Any], Any]

INT64 = 2**63 - 1
DIGITS = 100
BEYOND = Decimal(2) ** 1024

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
STATE = re.compile(r"[a-z_]{1,32}", re.ASCII)
TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)


class Broken(Exception):
    """The value is not one the contract allows."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Broken(message)


def text(low: int, high: int) -> Check:
    """A string of `low` to `high` characters."""

    def check(value: Any) -> Any:
        require(isinstance(value, str), "not a string")
        require(low <= len(value) <= high, f"not {low} to {high} characters")
        return value

    return check


def integer(low: int) -> Check:
    """A whole JSON number from `low` up to the largest signed 64 bit integer."""

    def check(value: Any) -> Any:
        require(type(value) is int, "not an integer")
        require(low <= value <= INT64, "out of bounds")
        return value

    return check


def one_of(*words: str) -> Check:
    def check(value: Any) -> Any:
        require(isinstance(value, str) and value in words, f"not one of {words}")
        return value

    return check


def boolean(value: Any) -> Any:
    require(isinstance(value, bool), "not true or false")
    return value


def state(value: Any) -> Any:
    require(isinstance(value, str) and STATE.fullmatch(value) is not None, "not a state")
    return value


def uuid(value: Any) -> Any:
    """The RFC 4122 text in any letter case, kept in lower case."""
    require(isinstance(value, str) and value.isascii(), "not a UUID")
    require(UUID.fullmatch(value.lower()) is not None, "not a UUID")
    return value.lower()


def text_or_integer(value: Any) -> Any:
    """An id given as string or integer, kept as text: 7 and "7" are the same id."""
    return text(1, 200)(str(value) if type(value) is int else value)


def decimal(value: Any) -> Any:
    """A JSON number or a string that Python reads as a decimal (`1_0` is one), of at most a hundred
    digits each way.
    """
    require(type(value) in {int, Decimal, str}, "not a decimal")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Broken("not a decimal") from None
    require(number.is_finite(), "not a decimal")
    _, digits, exponent = number.as_tuple()
    require(isinstance(exponent, int) and abs(exponent) <= DIGITS, "absurd exponent")
    require(len(digits) <= DIGITS, "absurdly many digits")
    return number


def cost(value: Any) -> Any:
    """A decimal from 0 up."""
    number = decimal(value)
    require(number >= 0, "not a decimal from 0 up")
    return number


def timestamp(value: Any) -> Any:
    """RFC 3339, also with a space for the T and an offset without colon; without an offset it is
    UTC; the first digit below the microsecond rounds it.
    """
    found = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Broken("not an RFC 3339 timestamp")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, _zone, sign, hours, minutes = found.groups()[6:]
    offset = timedelta()
    if sign is not None:
        require(int(hours) < 24 and int(minutes) < 60, "not an offset")
        offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    rounded = timedelta(microseconds=int((fraction or "")[6:7] >= "5"))
    try:
        local = datetime(year, month, day, hour, minute, second, micros, timezone(offset))
        return (local + rounded).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Broken("no such instant") from None


def timestamp_with_offset(value: Any) -> Any:
    """As `timestamp`, but the offset must be there."""
    found = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    require(found is not None and found.group(8) is not None, "no RFC 3339 timestamp with offset")
    return timestamp(value)


def json_object(value: Any) -> Any:
    require(isinstance(value, dict), "not an object")
    return value


def kept_object(value: Any) -> Any:
    """A JSON object that is kept whole: without numbers beyond the range of a 64-bit float."""
    require(all(abs(each) < BEYOND for each in decimals(value)), "a number out of range")
    return json_object(value)


def decimals(value: Any) -> Iterator[Decimal]:
    """The numbers in a JSON value that are written with a point or an exponent."""
    if isinstance(value, Decimal):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from decimals(inner)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `needed` must be there; an `optional` one may be null or absent and then is
    None; one that is neither may be absent, not null, and then is `default`.
    """

    name: str
    check: Check
    needed: bool = False
    optional: bool = False
    default: Any = None

    def read(self, holder: dict[str, Any]) -> Any:
        """The field's value in this object as it is kept, or Broken naming the field."""
        if self.name not in holder:
            require(not self.needed, f"{self.name}: missing")
            return self.default
        value = holder[self.name]
        if value is None and self.optional:
            return None
        try:
            return self.check(value)
        except Broken as broken:
            raise Broken(f"{self.name}: {broken}") from None


Fields = tuple[Field, ...]


def must(check: Check, *names: str) -> Fields:
    return tuple(Field(name, check, needed=True) for name in names)


def may(check: Check, *names: str) -> Fields:
    return tuple(Field(name, check, optional=True) for name in names)


def defaults(check: Check, default: Any, *names: str) -> Fields:
    return tuple(Field(name, check, default=default) for name in names)


def read_all(fields: Fields, holder: dict[str, Any]) -> dict[str, Any]:
    return {field.name: field.read(holder) for field in fields}
