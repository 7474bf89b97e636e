"""Records' values as nearly all producers write them, read several times as fast.

What is right is said by the models alone. What is read here is surely right, and reads as the
models read it; for the rest (wrong, or merely unusual) there is no answer here, and `decoding`
asks the models. `tests/property/test_quick_decoding.py` holds the two to the same answers.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr
from pydantic import BaseModel

from contracts.envelope import Event
from contracts.events import Payload, PendingAction, fields
from contracts.keys import UUID
from contracts.topics import Topic

MOST_BYTES: Final = 4096
"""Longer values are left to the models, which refuse numbers of more digits than Python reads."""
MOST_BRACKETS: Final = 100
"""So are values that may be nested deeper than the models read (199 levels)."""
SHORT: Final = 1000
"""Values that cannot be nested so deep without arrays: a level takes five bytes, `{"":}`."""
REMEMBERED: Final = 2_048
"""Texts of one kind whose values are remembered: ids of a run repeat."""
SURE_DIGITS: Final = 15
"""Longest number whose 64-bit float has the same digits."""


class QuickReader:
    """Reads the events of one topic."""

    def __init__(self, topic: Topic) -> None:
        self._data = _struct(topic.model)
        self._event = _struct(
            topic.event, type=Literal[topic.type], entityversion=_integer(0), data=self._data
        )
        self._decode = msgspec.json.Decoder(self._event).decode
        hints = {name: _without_none(hint) for name, hint in _hints(topic.model).items()}
        self._conversions = tuple(
            (name, _CONVERSIONS[hint]) for name, hint in hints.items() if hint in _CONVERSIONS
        )

    def read(self, value: bytes) -> Event[Payload] | None:
        """Return the event that a record's value surely is, or None when the models must say.

        It has the attributes of the model of its topic, and their values.
        """
        if len(value) > MOST_BYTES or _is_unusual(value):
            return None
        try:
            event = self._decode(value)
            data = event.data
            _set(event, "time", _instant_with_offset(event.time))
            for name, convert in self._conversions:
                if (found := getattr(data, name)) is not None:
                    _set(data, name, convert(found))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        return cast("Event[Payload]", event)

    def like(self, event: Event[Payload]) -> Event[Payload]:
        """Return what `read` makes of such an event, of one that the models have read."""
        data = dict(event.data)
        if (action := data.get("pending_action")) is not None:
            data["pending_action"] = _PENDING_ACTION(**dict(action))
        return cast("Event[Payload]", self._event(**{**dict(event), "data": self._data(**data)}))


_set: Final = force_setattr
_ARRAY: Final = ord("[")


def _is_unusual(value: bytes) -> bool:
    """Whether msgspec might read what the models refuse: it does not look at what it skips."""
    return not (value.isascii() or _is_utf8(value)) or (
        (len(value) > SHORT or _ARRAY in value)
        and value.count(b"[") + value.count(b"{") > MOST_BRACKETS
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _struct(model: type[BaseModel], **known: Any) -> Any:
    """Return the type that msgspec reads where the models have this one: of the same fields."""
    hints = _hints(model)
    attributes = [
        (
            name,
            known.get(name) or _quick(hints[name]),
            msgspec.NODEFAULT if field.is_required() else field.default,
        )
        for name, field in model.model_fields.items()
    ]
    return msgspec.defstruct(model.__name__, attributes, kw_only=True, frozen=True, gc=False)


def _hints(model: type[BaseModel]) -> dict[str, Any]:
    hints = get_type_hints(model, include_extras=True)
    return {name: hints[name] for name in model.model_fields}


def _quick(hint: Any) -> Any:
    """Return what msgspec has to find where the models have this type.

    Raises KeyError for a type that has no way yet.
    """
    if get_origin(hint) is Literal:
        return hint
    inner = _without_none(hint)
    quick = _QUICK[inner]
    return quick if inner is hint or quick is msgspec.Raw else quick | None


def _without_none(hint: Any) -> Any:
    """Return T of `T | None`, anything else as it is."""
    if type(None) not in get_args(hint):
        return hint
    (inner,) = (each for each in get_args(hint) if each is not type(None))
    return inner


def _text(least: int, most: int) -> Any:
    return Annotated[str, Meta(min_length=least, max_length=most)]


def _integer(least: int) -> Any:
    return Annotated[int, Meta(ge=least, le=fields.INT64_MAX)]


_ID: Final = _text(1, fields.ID_LENGTH)
_QUICK: Final[dict[Any, Any]] = {
    bool: bool,
    fields.Text: _text(0, fields.TEXT_LENGTH),
    fields.Id: _ID,
    fields.ProjectId: _text(1, fields.PROJECT_ID_LENGTH),
    fields.TextId: _ID | int,
    fields.Uuid: str,
    fields.State: str,
    fields.Count: _integer(0),
    fields.Int64: _integer(-fields.INT64_MAX - 1),
    fields.Timestamp: str,
    fields.OffsetTimestamp: str,
    fields.Amount: msgspec.Raw,
    fields.Cost: msgspec.Raw,
    # a number beyond a 64-bit float is refused by msgspec, too
    fields.JsonObject: dict[str, Any],
}
_PENDING_ACTION: Final = _struct(PendingAction)
_QUICK[PendingAction] = _PENDING_ACTION


def _amount(check: Callable[[object], Decimal]) -> Callable[[Any], Decimal]:
    """Return what reads an amount as it was written, or keeps the one that is there by default."""
    return lambda found: check(_number(bytes(found))) if type(found) is msgspec.Raw else found


def _number(written: bytes) -> str | int | float:
    if written.startswith(b'"') and b"\\" not in written:
        return written[1:-1].decode()
    if len(written) > SURE_DIGITS or not written.replace(b".", b"", 1).isdigit():
        raise ValueError(written)
    return float(written) if b"." in written else int(written)


def _remembered(pattern: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what converts texts of a pattern, and remembers the last ones."""
    matches = re.compile(pattern).fullmatch

    @lru_cache(maxsize=REMEMBERED)
    def remembered(text: str) -> Any:
        if matches(text) is None:
            raise ValueError(text)
        return convert(text)

    return remembered


_is_timestamp: Final = re.compile(fields.TIMESTAMP).fullmatch


def _instant(text: str) -> datetime:
    """Return the instant of a timestamp. Raises ValueError for what is none.

    Nearly all are in UTC, to the second or the microsecond. With these marks in these places
    Python's own reader takes besides them days of a week, the hour 24, and a NUL for the end.
    """
    if (
        (
            (text[10:20:3] == "T::." and text[26:] == "Z")
            or (text[10:17:3] == "T::" and text[19:] == "Z")
        )
        and text[5:6] != "W"
        and text[11:13] != "24"
        and "\0" not in text
    ):
        return datetime.fromisoformat(text)
    if _is_timestamp(text) is None:
        raise ValueError(text)
    return fields.instant(text)


def _instant_with_offset(text: str) -> datetime:
    if text[-1:] not in "Zz" and text[-6:-5] not in "+-":
        raise ValueError(text)
    return _instant(text)


_CONVERSIONS: Final[dict[Any, Callable[[Any], Any]]] = {
    fields.TextId: fields.id_text,
    fields.Uuid: _remembered(UUID, str.lower),
    fields.State: _remembered(fields.STATE, str),
    fields.Timestamp: _instant,
    fields.Amount: _amount(fields.amount),
    fields.Cost: _amount(fields.cost),
}
"""What makes a field's value of what msgspec has found, for types where these are not the same."""
