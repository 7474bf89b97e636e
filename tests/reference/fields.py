"""What each kind of field may hold: a check returns the value as it is kept or raises Broken."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

Check = Callable[[Any], Any]

INT64 = 2**63 - 1
DIGITS = 100

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
STATE = re.compile(r"[a-z_]{1,32}", re.ASCII)
DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|([+-])(\d\d):(\d\d))?",
    re.ASCII,
)


class Broken(Exception):
    """The value is not one the contract allows."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Broken(message)


def text(low: int, high: int) -> Check:
    """A string of `low` to `high` characters."""

    def check(value: Any) -> str:
        require(isinstance(value, str), "not a string")
        require(low <= len(value) <= high, f"not {low} to {high} characters")
        return str(value)

    return check


def integer(low: int) -> Check:
    """A whole JSON number from `low` up to the largest signed 64 bit integer."""

    def check(value: Any) -> int:
        require(type(value) is int, "not an integer")
        require(low <= value <= INT64, "out of bounds")
        return int(value)

    return check


def one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        require(isinstance(value, str) and value in words, f"not one of {words}")
        return str(value)

    return check


def boolean(value: Any) -> bool:
    require(isinstance(value, bool), "not true or false")
    return bool(value)


def state(value: Any) -> str:
    require(isinstance(value, str) and STATE.fullmatch(value) is not None, "not a state")
    return str(value)


def uuid(value: Any) -> str:
    """The RFC 4122 text in any letter case, kept in lower case."""
    require(isinstance(value, str) and value.isascii(), "not a UUID")
    require(UUID.fullmatch(value.lower()) is not None, "not a UUID")
    return str(value.lower())


def text_or_integer(value: Any) -> str:
    """An id given as string or integer, kept as text: 7 and "7" are the same id."""
    return str(text(1, 200)(str(value) if type(value) is int else value))


def decimal(value: Any) -> Decimal:
    """A JSON number or a decimal string, of at most a hundred digits each way."""
    if isinstance(value, str):
        require(DECIMAL.fullmatch(value) is not None, "not a decimal")
    else:
        require(type(value) in {int, Decimal}, "not a decimal")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Broken("not a decimal") from None
    require(number.is_finite(), "not a decimal")
    _, digits, exponent = number.as_tuple()
    require(isinstance(exponent, int) and abs(exponent) <= DIGITS, "absurd exponent")
    require(len(digits) <= DIGITS, "absurdly many digits")
    return number


def cost(value: Any) -> Decimal:
    """A decimal from 0 up."""
    number = decimal(value)
    require(number >= 0, "not a decimal from 0 up")
    return number


def timestamp(value: Any) -> datetime:
    """RFC 3339; without an offset it is UTC; digits below the microsecond are cut off."""
    require(isinstance(value, str), "not a timestamp")
    found = TIMESTAMP.fullmatch(value)
    if found is None:
        raise Broken("not an RFC 3339 timestamp")
    year, month, day, hour, minute, second, fraction, _zone, sign, hours, minutes = found.groups()
    offset = timedelta()
    if sign is not None:
        require(int(hours) < 24 and int(minutes) < 60, "not an offset")
        offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), micros
        )
        return local.replace(tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Broken("no such instant") from None


def timestamp_with_offset(value: Any) -> datetime:
    """As `timestamp`, but the offset must be there."""
    found = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    require(found is not None and found.group(8) is not None, "no RFC 3339 timestamp with offset")
    return timestamp(value)


def json_object(value: Any) -> dict[str, Any]:
    require(isinstance(value, dict), "not an object")
    return dict(value)


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


def must(name: str, check: Check) -> Field:
    return Field(name, check, needed=True)


def may(name: str, check: Check) -> Field:
    return Field(name, check, optional=True)


def defaults(name: str, check: Check, default: Any) -> Field:
    return Field(name, check, default=default)
