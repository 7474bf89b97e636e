"""What an approval token says."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
)

from contracts.fields import ID_LENGTH, INT64_MAX, TEXT_LENGTH
from contracts.keys import UUID

ALGORITHM: Final = "EdDSA"
HEADER_TYPE: Final = "approval+jwt"
"""The header `typ`: no other JWT that the same key may have signed passes for an approval."""
MAX_TOKEN_LENGTH: Final = TEXT_LENGTH
"""Most characters of a token: as many as its field in the event `approval_decided` may have."""

_LAST_SECOND: Final = 253_402_214_400  # A day before datetime's end, so that leeway can be added.


def _whole_second(value: object) -> datetime:
    match value:
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).replace(microsecond=0)
        case int() if not isinstance(value, bool) and 0 <= value <= _LAST_SECOND:
            return datetime.fromtimestamp(value, UTC)
    raise ValueError("should be a whole number of seconds since 1970")


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


Seconds = Annotated[
    datetime,
    PlainValidator(_whole_second),
    PlainSerializer(_seconds, when_used="json"),
]
"""A moment, whole seconds since 1970 in the token; a fraction of a second is cut off."""


Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH)]


class Approval(BaseModel):
    """A human's decision on one call of one run at one version; its fields are a token's claims.

    Claims it does not know are ignored: the issuer may be newer than the consumer.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    iss: Text
    """Who issued it."""
    aud: Text
    """The one service that may act on it."""
    sub: Id
    """Who decided."""
    jti: Id
    """Its id, by which it is used only once."""
    iat: Seconds
    """When it was issued."""
    exp: Seconds
    """From when on it is valid no more."""
    nbf: Seconds | None = None
    """Before when it is not valid yet, where an issuer says so."""
    project_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """Project of the run."""
    run_id: Annotated[str, StringConstraints(pattern=f"^{UUID}$", to_lower=True)]
    """The run, in lower case."""
    run_version: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]
    """The run's `entityversion` that was decided on."""
    decision: Literal["approve", "reject"]
    """What was decided."""
    tool_name: Text | None
    """Tool that may be called; null where the run named none."""
    arguments_sha256: Text | None
    """SHA-256 of the arguments of the call; null where the run named none."""
