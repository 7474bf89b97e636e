"""JSON and text as the views carry them."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from msgspec import Struct
from msgspec.structs import asdict

from contracts.events import Payload

SUMMARY_LENGTH: Final = 500
"""Longest summary of what bears on an incident, in characters."""


def dumps(value: Any) -> str:
    """Return JSON text: times in UTC with `Z`, decimals as numbers with all their digits."""
    try:
        return orjson.dumps(value, default=_exact, option=orjson.OPT_UTC_Z).decode()
    except TypeError:
        # an object a producer filled may hold integers beyond 64 bits, which orjson refuses
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def fields(data: Payload, *without: str) -> dict[str, Any]:
    """Return a payload's fields by name, but for some; an object among them stays as it is."""
    known = asdict(data)
    for name in without:
        del known[name]
    return known


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
