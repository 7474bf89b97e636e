"""What the OpenAPI document says of every endpoint besides its own answer."""

from typing import Any, Final

from api.models.base import ProblemDetails
from api.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_TEXT: Final = {"schema": {"type": "string"}}
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", **_TEXT}}

_VIEW_HEADERS: Final = {
    "ETag": {"description": "Changes with the answer, `as_of` apart.", **_TEXT},
    "X-View-As-Of": {"description": "The same as `as_of`.", **_TEXT},
}

_PROBLEMS: Final[dict[int, tuple[str, dict[str, Any]]]] = {
    401: ("There is no token, or a bad one.", {"WWW-Authenticate": _TEXT}),
    403: ("The token's roles do not suffice.", {}),
    404: ("There is none, or not for this bearer.", {}),
    400: ("The request is incomplete.", {}),
    409: ("The run waits for no decision, or there is one.", {}),
    410: ("The time in which it could be decided is over.", {}),
    412: ("The run is not at the version that was looked at.", {}),
    413: ("The body is too large.", {}),
    415: ("The body is not JSON.", {}),
    422: ("A parameter is wrong.", {}),
    503: ("Not now: the database is away, or the awaited record is not there yet.", _RETRY),
}


def problems(*statuses: int) -> Responses:
    """Return the documentation of these errors."""
    return {status: _problem(*_PROBLEMS[status]) for status in statuses}


def _problem(description: str, headers: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {"description": description, "content": content, "headers": headers}


def view(*statuses: int, with_language: bool = False) -> Responses:
    """Return the documentation of an endpoint that reads a view, with these errors besides."""
    language = {"Content-Language": {"description": "Language of the titles.", **_TEXT}}
    headers = _VIEW_HEADERS | (language if with_language else {})
    return {
        200: {"description": "What the view says.", "headers": headers},
        304: {"description": "The answer is the one the client has.", "headers": headers},
        **problems(401, 403, 404, 422, 503, *statuses),
    }
