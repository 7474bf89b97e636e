"""The CloudEvents 1.0 envelope, in structured JSON mode: the record's value is the whole event."""

import builtins
import re
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from contracts.events.fields import Contract, Count, EventData, Id, OffsetTimestamp, Text

CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
"""Value of the `content-type` header of every record."""

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

D_co = TypeVar("D_co", bound=EventData, covariant=True)


def _zero_if_null(value: Any) -> Any:
    # CloudEvents: an attribute that is null is an attribute that is not set.
    return 0 if value is None else value


def trace(traceparent: str | None) -> str | None:
    """Return the trace context that a text is; None for what is none.

    One that is not valid starts no trace and fails nothing (W3C Trace Context, 3.2.2.5).
    """
    is_valid = traceparent is not None and _TRACEPARENT.fullmatch(traceparent)
    return traceparent if is_valid else None


class Event(Contract, Generic[D_co]):
    """One event: what happened, when, to which version of its entity, and the payload.

    Attributes that are not named here are ignored.
    """

    specversion: Literal["1.0"]
    """Version of the CloudEvents specification."""
    id: Id
    """Unique per event; a redelivery or a producer's retry repeats it."""
    source: Id
    """Who emitted the event."""
    type: str
    """What kind of event it is; a topic carries one kind."""
    time: OffsetTimestamp
    """When it happened."""
    entityversion: Annotated[Count, BeforeValidator(_zero_if_null)] = 0
    """Grows with every change of the entity; of two events the greater one says its state."""
    subject: Text | None = None
    """The entity's id."""
    traceparent: Text | None = None
    """W3C trace context of what caused the event."""
    data: D_co
    """The payload."""

    def to_bytes(self) -> bytes:
        """The event as UTF-8 JSON, ready to be a record's value; what is null is left out."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name of the model of one kind of event, made for use as a key in schema documents."""
        return f"{getattr(params[0], '__name__', 'Any')}Event"

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # Validation takes any type, so that decoding can tell a strange event from a broken one;
        # a producer has to know the one type that is right.
        written = handler.resolve_ref_schema(handler(schema))
        data = cls.model_fields["data"].annotation
        if isinstance(data, builtins.type) and issubclass(data, EventData):
            written["properties"]["type"]["const"] = data.event_type
        return written
