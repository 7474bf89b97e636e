"""What rows of several tables share: the ranks of the timeline, JSON and text."""

import json
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final, TypeAlias

import orjson
from msgspec import Struct
from msgspec.structs import asdict

from contracts.events import Payload

Row: TypeAlias = dict[str, Any]
"""Values by column; `contracts.read_model` says which columns a table has, and in what order."""

SUMMARY_LENGTH: Final = 500
"""Longest summary of a piece of evidence, in characters."""


class Rank(IntEnum):
    """Order of the timeline at equal `ts`; the stored tables use 4 to 9."""

    CREATED = 0
    STARTED = 1
    STATE = 2
    INBOUND = 3
    STEP = 4
    GATEWAY_CALL = 5
    LEGACY_CALL = 6
    REMEDIATION = 7
    DECISION = 8
    OUTBOUND = 9
    COMPLETED = 10


def fields(data: Payload, *without: str) -> dict[str, Any]:
    """Return a payload's fields by name, except some; a nested object stays as it is."""
    known = asdict(data)
    for name in without:
        del known[name]
    return known


def dumps(value: Any) -> str:
    """Return JSON text: times in UTC with `Z`, decimals as numbers with all their digits."""
    try:
        return orjson.dumps(value, default=_exact, option=orjson.OPT_UTC_Z).decode()
    except TypeError:
        # orjson takes no integers beyond 64 bits, which an object of a producer may hold
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, Struct):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_UTC_Z))
    return value


def literal(value: Any) -> str:
    """Return how a JSON value reads in a sentence: text as itself, else its JSON literal."""
    return value if isinstance(value, str) else dumps(value)


def or_dashes(value: Any) -> str:
    """Return the value as text, `--` where it is missing."""
    return "--" if value is None or value == "" else str(value)
