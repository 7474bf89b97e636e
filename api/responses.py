"""Responses: the JSON that PostgreSQL has built, passed on, and the headers that go with it."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson
from fastapi import Request, Response

MEDIA_TYPE: Final = "application/json"
FRESHNESS: Final = "X-View-As-Of"

Json = orjson.Fragment
"""JSON text that is passed on unchanged."""

Language = Literal["zh-TW", "en"]
DEFAULT: Final[Language] = "zh-TW"


def view_response(
    request: Request,
    body: Mapping[str, Any],
    as_of: str | None,
    language: Language | None = None,
) -> Response:
    """Return what a view says, with `as_of`; 304 when the client has it already.

    The entity tag is of the body without `as_of`, which changes with every batch, also with those
    that change nothing here: a weak tag.
    """
    content = orjson.dumps(body)
    # processors have instructions for SHA-256: it is the fastest on a long answer
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if as_of is not None:
        headers[FRESHNESS] = as_of
    if language is not None:
        headers |= {"Content-Language": language, "Vary": "Accept-Language"}
    if _has(request, tag):
        return Response(status_code=304, headers=headers)
    stamped = content[:-1] + b',"as_of":' + orjson.dumps(as_of) + b"}"
    return Response(stamped, headers=headers, media_type=MEDIA_TYPE)


def _has(request: Request, tag: str) -> bool:
    given = request.headers.getlist("If-None-Match")
    known = {each.strip() for header in given for each in header.split(",")}
    # Weak comparison: whether a tag has `W/` does not count.
    return bool(known & {"*", tag, tag.removeprefix("W/")})


def json_response(body: Mapping[str, Any] | bytes, status: int = 200) -> Response:
    """Return an answer that comes from no view."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(content, status, {"Cache-Control": "no-store"}, media_type=MEDIA_TYPE)


_RANGE: Final = re.compile(
    r"([A-Za-z0-9*-]{1,20})(?:\s*;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def preferred_language(accept_language: str) -> Language:
    """Return the language of titles that a client's `Accept-Language` asks for first.

    Equally weighted languages count in the order they are named; what cannot be read, and what is
    neither zh-TW nor English, is ignored. zh-TW when nothing decides.
    """
    ranges = [_RANGE.fullmatch(part.strip()) for part in accept_language.split(",")]
    weighted = [(float(found[2] or 1), found[1].lower()) for found in ranges if found]
    for weight, tag in sorted(weighted, key=lambda each: -each[0]):
        if weight > 0 and (language := _language(tag)):
            return language
    return DEFAULT


def _language(tag: str) -> Language | None:
    match tag.split("-", maxsplit=1)[0]:
        case "en":
            return "en"
        case "zh" | "*":
            return DEFAULT
        case _:
            return None
