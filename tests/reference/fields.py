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


def that(allowed: Callable[[Any], bool], wanted: str) -> Check:
    """A check that keeps the value as it is."""

    def check(value: Any) -> Any:
        require(allowed(value), f"not {wanted}")
        return value

    return check


def text(low: int, high: int) -> Check:
    return that(
        lambda value: isinstance(value, str) and low <= len(value) <= high,
        f"a string of {low} to {high} characters",
    )


def integer(low: int) -> Check:
    return that(lambda value: type(value) is int and low <= value <= INT64, "an integer in bounds")


def one_of(*words: str) -> Check:
    return that(lambda value: isinstance(value, str) and value in words, f"one of {words}")


boolean = that(lambda value: isinstance(value, bool), "true or false")
state = that(lambda value: isinstance(value, str) and STATE.fullmatch(value) is not None, "a state")
json_object = that(lambda value: isinstance(value, dict), "an object")


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
    instant, found = timestamp(value), TIMESTAMP.fullmatch(value)
    require(found is not None and found.group(8) is not None, "no offset")
    return instant


def kept_object(value: Any) -> Any:
    """A JSON object that is kept whole: without numbers beyond the range of a 64-bit float."""
    numbers = (each for each in leaves(value) if isinstance(each, Decimal))
    require(all(abs(each) < BEYOND for each in numbers), "a number out of range")
    return json_object(value)


def leaves(value: Any) -> Iterator[Any]:
    """Everything in a JSON value that holds nothing else, names of fields among them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


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
        """The field's value in this object as it is kept."""
        if self.name not in holder:
            require(not self.needed, f"{self.name}: missing")
            return self.default
        value = holder[self.name]
        return None if value is None and self.optional else self.check(value)


Fields = tuple[Field, ...]


def must(check: Check, *names: str) -> Fields:
    return tuple(Field(name, check, needed=True) for name in names)


def may(check: Check, *names: str) -> Fields:
    return tuple(Field(name, check, optional=True) for name in names)


def defaults(check: Check, default: Any, *names: str) -> Fields:
    return tuple(Field(name, check, default=default) for name in names)


def read_all(fields: Fields, holder: dict[str, Any]) -> dict[str, Any]:
    return {field.name: field.read(holder) for field in fields}
