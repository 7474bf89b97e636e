"""The answer to a question: the JSON that PostgreSQL has built, passed on, and its headers."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from fastapi import Request, Response

from api.languages import Language

MEDIA_TYPE: Final = "application/json"
FRESHNESS: Final = "X-View-As-Of"

Json = orjson.Fragment
"""JSON text that is passed on as it stands."""


def view(
    request: Request,
    body: Mapping[str, Any],
    as_of: str | None,
    language: Language | None = None,
) -> Response:
    """Return what a view says, with `as_of`; 304 when the client has it already.

    The entity tag is of the body without `as_of`, which moves on with every batch, also with
    those that change nothing here: a weak tag.
    """
    content = orjson.dumps(body)
    # processors have instructions for SHA-256: it is the fastest on a long answer
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = _headers(tag, as_of, language)
    if _has(request.headers.getlist("If-None-Match"), tag):
        return Response(status_code=304, headers=headers)
    stamped = content[:-1] + b',"as_of":' + orjson.dumps(as_of) + b"}"
    return Response(stamped, headers=headers, media_type=MEDIA_TYPE)


def _headers(tag: str, as_of: str | None, language: Language | None) -> dict[str, str]:
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if as_of is not None:
        headers[FRESHNESS] = as_of
    if language is not None:
        headers |= {"Content-Language": language, "Vary": "Accept-Language"}
    return headers


def _has(if_none_match: Sequence[str], tag: str) -> bool:
    known = {each.strip() for header in if_none_match for each in header.split(",")}
    # Weak comparison: what `W/` says of a tag does not count.
    return bool(known & {"*", tag, tag.removeprefix("W/")})


def plain(body: Mapping[str, Any], status: int = 200) -> Response:
    """Return an answer that comes from no view."""
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body), status, headers, media_type=MEDIA_TYPE)
