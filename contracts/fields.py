"""The types that the fields of events are of: what a field may hold, and what is kept of it.

`contracts.decoding` reads by them, `contracts.schemas` says them to others. A function in a type
makes the value that is kept of the one that was read; it raises ValueError for one that is not
allowed.
"""

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta

from contracts.keys import UUID
from contracts.times import as_utc

INT64_MAX: Final = 2**63 - 1
TEXT_LENGTH: Final = 8192
ID_LENGTH: Final = 200
AMOUNT_DIGITS: Final = 100
"""Most significant digits, and farthest exponent, that an amount may have."""

STATE: Final = r"[a-z_]{1,32}"
TIMESTAMP: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
)
OFFSET: Final = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_AMOUNT: Final = r"[+-]?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})([eE][+-]?[0-9]{1,3})?"

_is_uuid: Final = re.compile(UUID).fullmatch
_is_state: Final = re.compile(STATE).fullmatch


@lru_cache(maxsize=2_048)
def uuid(text: str) -> str:
    """Return a UUID in lower case. Those read last are remembered: the ids of a run repeat."""
    if _is_uuid(text) is None:
        raise ValueError("expected a UUID")
    return text.lower()


def state(text: str) -> str:
    """Return a state that is written as states are."""
    if _is_state(text) is None:
        raise ValueError("expected 1 to 32 of the letters a to z and _")
    return text


def id_text(value: str | int) -> str:
    """Return an id as text."""
    text = str(value)
    if len(text) > ID_LENGTH:
        raise ValueError(f"expected at most {ID_LENGTH} characters")
    return text


def amount(value: Decimal) -> Decimal:
    """Return an amount that is finite and of a length that can be stored."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("expected a finite number")  # noqa: TRY004
    if len(digits) > AMOUNT_DIGITS or abs(exponent) > AMOUNT_DIGITS:
        raise ValueError(f"expected at most {AMOUNT_DIGITS} digits")
    return value


def cost(value: Decimal) -> Decimal:
    """Return an amount of at least 0."""
    if amount(value) < 0:
        raise ValueError("expected a number >= 0")
    return value


def _schema(**keywords: Any) -> Meta:
    """Return what JSON Schemas say of a type besides what they say of themselves."""
    return Meta(extra_json_schema=keywords)


Text = Annotated[str, Meta(max_length=TEXT_LENGTH)]
"""Free text of at most 8,192 characters."""

Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]
"""An identifier of 1 to 200 characters."""

ProjectId = Annotated[str, Meta(min_length=1, max_length=128)]
"""A project's identifier, 1 to 128 characters."""

if TYPE_CHECKING:
    TextId = str
else:
    TextId = Annotated[Id | int, id_text]
"""An identifier that producers write as text or as an integer; kept as text."""

Uuid = Annotated[str, _schema(pattern=f"^{UUID}$"), uuid]
"""A UUID as 8-4-4-4-12 hexadecimal digits in any letter case, kept in lower case."""

State = Annotated[str, _schema(pattern=f"^{STATE}$"), state]
"""A run's state; one that is not known yet is as good as any other."""

Count = Annotated[int, Meta(ge=0, le=INT64_MAX)]
"""A whole number from 0 to the largest signed 64-bit integer."""

Int64 = Annotated[int, Meta(ge=-INT64_MAX - 1, le=INT64_MAX)]
"""A signed 64-bit integer."""

Timestamp = Annotated[datetime, _schema(pattern=f"^{TIMESTAMP}{OFFSET}?$"), as_utc]
"""RFC 3339 text; UTC when it has no offset. Kept in UTC, rounded to microseconds.

A space for the `T` and an offset without its colon are read, too.
"""

Amount = Annotated[Decimal, _schema(pattern=f"^{_AMOUNT}$"), amount]
"""An amount from a JSON number or a decimal string, with all its digits."""

Cost = Annotated[Decimal, _schema(pattern=f"^{_AMOUNT}$", minimum=0), cost]
"""An amount of at least 0, from a JSON number or a decimal string, with all its digits."""

JsonObject = dict[str, Any]
"""A JSON object of any shape."""
