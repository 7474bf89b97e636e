"""The field types that payloads and the envelope are made of, each with its bounds.

They are strict: the text "5" is no integer, 1.0 is none either, and "true" is no boolean.
"""

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from contracts.keys import UUID
from contracts.times import as_utc, rfc3339

INT64_MAX: Final = 2**63 - 1
TEXT_LENGTH: Final = 8192
ID_LENGTH: Final = 200
PROJECT_ID_LENGTH: Final = 128
MONEY_DIGITS: Final = 100
"""Most significant digits, and farthest exponent, that an amount may have."""

_HOUR_MINUTE = "([01][0-9]|2[0-3]):[0-5][0-9]"
_DATE_TIME = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_HOUR_MINUTE}:[0-5][0-9](\.[0-9]+)?"
_OFFSET = f"([Zz]|[+-]{_HOUR_MINUTE})"
TIMESTAMP: Final = f"{_DATE_TIME}{_OFFSET}?"
STATE: Final = r"[a-z_]{1,32}"
_AMOUNT = r"[+-]?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})([eE][+-]?[0-9]{1,3})?"
_AMOUNT_TEXT = re.compile(_AMOUNT)


class Contract(BaseModel):
    """What all contracts have in common: they never change once read, and fields they do not know
    are ignored, because a producer may be newer than its reader.
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True
    )


class EventData(Contract):
    """The payload of one kind of event."""

    event_type: ClassVar[str]
    """CloudEvents type of the events that carry it."""


class _Rfc3339:
    """Core schema of a timestamp: text of the given pattern (or, from Python, a datetime) -> UTC.

    Other ISO 8601 texts are refused, and so are counts of seconds since 1970.
    """

    def __init__(self, pattern: str, problem: str) -> None:
        self.pattern = pattern
        self.problem = problem

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(
            instant,
            core_schema.custom_error_schema(
                core_schema.str_schema(pattern=self.pattern, strict=True),
                custom_error_type="timestamp",
                custom_error_message=self.problem,
            ),
        )
        moment = core_schema.no_info_after_validator_function(
            as_utc, core_schema.datetime_schema(strict=True)
        )
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([moment, text]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                rfc3339, when_used="json"
            ),
        )


def instant(text: str) -> datetime:
    """Return the instant, in UTC, that a text of the pattern of timestamps names.

    Raises ValueError when there is none (30 February).
    """
    return as_utc(datetime.fromisoformat(text.upper()))


def amount(value: object) -> Decimal:
    """Return a finite amount. Raises ValueError for what is none, or has too many digits."""
    exact = _as_decimal(value)
    if not exact.is_finite():
        raise ValueError("should be a finite number")
    _, digits, exponent = exact.as_tuple()
    if len(digits) > MONEY_DIGITS or abs(int(exponent)) > MONEY_DIGITS:
        raise ValueError(f"should have {MONEY_DIGITS} digits at most")
    return exact


def cost(value: object) -> Decimal:
    """Return an amount of at least 0. Raises ValueError for what is none."""
    exact = amount(value)
    if exact < 0:
        raise ValueError("should be greater than or equal to 0")
    return exact


def _as_decimal(value: object) -> Decimal:
    match value:
        case Decimal():
            return value
        case str() if _AMOUNT_TEXT.fullmatch(value):
            return Decimal(value)
        case int() | float() if not isinstance(value, bool):
            # The text of a float is the shortest that reads back as the same float.
            return Decimal(str(value))
    raise ValueError(f"should be a number or a decimal text of {MONEY_DIGITS} digits at most")


def id_text(value: object) -> str:
    """Return an id as text. Raises ValueError for what is none."""
    match value:
        case bool():
            pass
        case str() if 1 <= len(value) <= ID_LENGTH:
            return value
        case int() if len(str(value)) <= ID_LENGTH:
            return str(value)
    raise ValueError(f"should be a string or an integer of 1 to {ID_LENGTH} characters")


def _is_finite(value: object) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list():
            return all(map(_is_finite, value))
        case _:
            return True


def _finite_object(value: dict[str, Any]) -> dict[str, Any]:
    # JSON allows 1e999, but it reads as infinity, which no JSON text can give back.
    if not _is_finite(value):
        raise ValueError("should hold no number beyond the range of a 64-bit float")
    return value


Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH)]
"""Free text of at most 8,192 characters."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH)]
"""An identifier of 1 to 200 characters."""

ProjectId = Annotated[str, StringConstraints(min_length=1, max_length=PROJECT_ID_LENGTH)]
"""A project's identifier, 1 to 128 characters."""

Uuid = Annotated[str, StringConstraints(pattern=f"^{UUID}$", to_lower=True)]
"""A UUID as 8-4-4-4-12 hexadecimal digits in any letter case, kept in lower case."""

TextId = Annotated[
    str,
    PlainValidator(id_text),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 200}, {"type": "integer"}]}
    ),
]
"""An identifier that producers write as text or as an integer; kept as text."""

State = Annotated[str, StringConstraints(pattern=f"^{STATE}$")]
"""A run's state; one that is not known yet is as good as any other."""

Count = Annotated[int, Field(ge=0, le=INT64_MAX)]
"""A whole number from 0 to the largest signed 64-bit integer."""

Int64 = Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
"""A signed 64-bit integer."""

Timestamp = Annotated[
    datetime,
    _Rfc3339(f"^{TIMESTAMP}$", "should be an RFC 3339 timestamp"),
    WithJsonSchema({"type": "string", "pattern": f"^{TIMESTAMP}$"}),
]
"""RFC 3339 text; UTC when it has no offset. Digits beyond microseconds are cut off."""

OffsetTimestamp = Annotated[
    datetime,
    _Rfc3339(f"^{_DATE_TIME}{_OFFSET}$", "should be an RFC 3339 timestamp with its offset"),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "pattern": f"^{_DATE_TIME}{_OFFSET}$"}
    ),
]
"""RFC 3339 text that says its offset. Digits beyond microseconds are cut off."""

Amount = Annotated[
    Decimal,
    PlainValidator(amount),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_AMOUNT}$"}]}),
]
"""An amount from a JSON number or a decimal string, with all its digits."""

Cost = Annotated[
    Decimal,
    PlainValidator(cost),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_AMOUNT}$"}]}
    ),
]
"""An amount of at least 0, from a JSON number or a decimal string, with all its digits."""

JsonObject = Annotated[dict[str, Any], AfterValidator(_finite_object)]
"""A JSON object of any shape."""
