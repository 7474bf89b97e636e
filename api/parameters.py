"""Query parameters: what the endpoints have in common, and the kinds of value they take.

Everything is checked before a statement runs: digits are ASCII digits, numbers fit the columns
they are compared with, and no text holds a NUL character, which PostgreSQL could not read.
"""

import re
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args, get_origin

from fastapi import Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from api.problems import bad_parameter, plain
from contracts.fields import OFFSET, STATE, TIMESTAMP
from contracts.incidents import INCIDENT_ID
from contracts.keys import GENERATION_NAME, UUID
from contracts.times import as_utc

LONGEST_TEXT: Final = 8192
MAX_PAGE_SIZE: Final = 500
LARGEST: Final = 10**18 - 1
"""Largest number of as many digits as are read."""
WAIT_DEFAULT_S: Final = 2.0
WAIT_MAX_S: Final = 10.0

_UUID: Final = f"^{UUID}$"
_STATE: Final = f"^{STATE}$"
_INCIDENT: Final = f"^{INCIDENT_ID}$"
_MOMENT: Final = re.compile(f"{TIMESTAMP}{OFFSET}?")
_GENERATION: Final = f"^{GENERATION_NAME}$"
_WAIT: Final = r"^[A-Za-z0-9._-]{1,249}:[0-9]{1,9}:[0-9]{1,18}$"
_SECONDS: Final = r"\A[0-9]{1,9}(\.[0-9]{1,9})?\Z"
_NO_NUL: Final = r"^[^\x00]*$"


def _like(pattern: str, what: str) -> BeforeValidator:
    """Reject text of another form in words that name the form, where pydantic's own message would
    only repeat the pattern.
    """
    form = re.compile(pattern)

    def check(value: Any) -> Any:
        if isinstance(value, str) and not form.search(value):
            raise ValueError(f"it should be {what}")
        return value

    return BeforeValidator(check)


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not _MOMENT.fullmatch(value):
        raise ValueError(
            "it should be a date and time as RFC 3339 has them, for example 2026-05-18T06:01:48Z"
        )
    return as_utc(datetime.fromisoformat(value.upper()))


DIGITS: Final = _like(r"\A[0-9]{1,18}\Z", "a whole number of at most 18 digits")
"""A number is written in ASCII digits; stands after the bounds, so that these are documented."""

Boolean = Annotated[bool, _like(r"\A(true|false)\Z", "true or false")]
"""`true` or `false`, and nothing else that might mean one of them."""

_WITHOUT_NUL: Final = _like(r"\A[^\0]*\Z", "text without NUL characters")

Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT, pattern=_NO_NUL), _WITHOUT_NUL]
"""Free text."""

CursorText = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]
"""A cursor; reading it shows whether it is one."""

ProjectId = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=_NO_NUL), _WITHOUT_NUL
]
"""A project's id."""

Uuid = Annotated[
    str,
    StringConstraints(pattern=_UUID, to_lower=True),
    _like(_UUID, "a UUID"),
    WithJsonSchema({"type": "string", "format": "uuid"}),
]
"""A UUID as 8-4-4-4-12 hexadecimal digits in any letter case."""

Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""RFC 3339 text; UTC when it has no offset."""

State = Annotated[
    str,
    StringConstraints(pattern=_STATE),
    _like(_STATE, "a state: 1 to 32 of the letters a to z and _"),
]
"""A run's state, known or not."""

IncidentId = Annotated[
    str,
    StringConstraints(max_length=LONGEST_TEXT, pattern=_INCIDENT),
    _like(_INCIDENT, "an incident id: INC-, eight digits, - and four or more of A to Z and 0 to 9"),
]
"""A whole incident id."""

RemediationStatus = Literal[
    "no_evidence", "mcp_observed", "blocked", "write_observed", "read_only_dry_run", "observed"
]


class WaitFor(NamedTuple):
    """A record the view must contain."""

    topic: str
    partition: int
    offset: int


def _wait_for(value: Any) -> WaitFor:
    if not re.fullmatch(_WAIT, str(value)):
        raise ValueError("it should be <topic>:<partition>:<offset>")
    topic, partition, offset = str(value).split(":")
    return WaitFor(topic, int(partition), int(offset))


class StrictParameters(BaseModel):
    """Parameters of one endpoint; any other is rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LiveParameters(StrictParameters):
    """What an endpoint takes that reads the active generation."""

    wait_for: Annotated[
        list[
            Annotated[
                WaitFor,
                PlainValidator(_wait_for),
                WithJsonSchema({"type": "string", "pattern": _WAIT}),
            ]
        ],
        Field(max_length=100),
    ] = []
    """`<topic>:<partition>:<offset>`: hold the answer until the view contains this record."""
    wait_timeout: Annotated[
        float,
        Field(ge=0, le=WAIT_MAX_S, allow_inf_nan=False),
        _like(_SECONDS, "a number of seconds"),
    ] = WAIT_DEFAULT_S
    """How long to hold it, in seconds; then the answer is 503 `not_yet`."""


class Parameters(LiveParameters):
    """What every other endpoint that reads a view takes."""

    generation: (
        Annotated[
            str,
            StringConstraints(pattern=_GENERATION),
            _like(_GENERATION, "a generation's name: 1 to 40 of a to z, 0 to 9 and _"),
        ]
        | None
    ) = None
    """Generation to read instead of the active one; for operators."""

    def bound(self) -> dict[str, Any]:
        """Return the filters in one way of writing them: a cursor is bound to these."""
        asked = self.model_dump(mode="json", exclude=_NO_FILTERS, exclude_none=True)
        return {
            name: sorted(set(value)) if isinstance(value, list) else value
            for name, value in asked.items()
        }


_NO_FILTERS: Final = {
    *("wait_for", "wait_timeout", "generation"),
    *("page", "per_page", "limit", "cursor"),
}


M = TypeVar("M", bound=StrictParameters)


def read(model: type[M], request: Request) -> M:
    """Return the parameters of a query. Raises `Problem`: 422.

    FastAPI would take the last of several values where one is asked for: which one counts would be
    a guess. It would also spend a third of a request on it.
    """
    lists = _lists(model)
    given: dict[str, Any] = {}
    twice = []
    for name, value in request.query_params.multi_items():
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            twice.append(name)
        else:
            given[name] = value
    if twice:
        raise bad_parameter(dict.fromkeys(twice, "it may be given once"))
    try:
        return model.model_validate(given)
    except ValidationError as error:
        wrong = {str(each["loc"][0]): plain(each) for each in error.errors(include_url=False)}
        raise bad_parameter(wrong) from None


async def without_parameters(request: Request) -> None:
    """Reject every parameter. Raises `Problem`: 422."""
    read(StrictParameters, request)


@cache
def _lists(model: type[BaseModel]) -> frozenset[str]:
    """Return the parameters of which several values may be given."""
    fields = model.model_fields.items()
    return frozenset(name for name, field in fields if _is_list(field.annotation))


def _is_list(annotation: Any) -> bool:
    return any(get_origin(each) is list for each in (annotation, *get_args(annotation)))
