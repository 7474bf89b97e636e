"""What the OpenAPI document says about every endpoint besides its own answer."""

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.problems import MEDIA_TYPE
from api.schemas import ProblemDetails

_TEXT: Final = {"schema": {"type": "string"}}
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", **_TEXT}}
_VIEW_HEADERS: Final = {
    "ETag": {"description": "Changes with the answer, `as_of` apart.", **_TEXT},
    "X-View-As-Of": {"description": "The same as `as_of`.", **_TEXT},
}
_LANGUAGE: Final = {"Content-Language": {"description": "Language of the titles.", **_TEXT}}

_BEARER: Final = {"bearer": {"type": "http", "bearerFormat": "JWT", "scheme": "bearer"}}

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


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these errors."""
    schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {
        status: {"description": description, "content": content, "headers": headers}
        for status, (description, headers) in ((each, _PROBLEMS[each]) for each in statuses)
    }


def parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the documentation of query parameters (see `api.parameters.read`)."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return [
        {"name": name, "in": "query", "required": False, "schema": each}
        | ({"description": each["description"]} if "description" in each else {})
        for name, each in schema["properties"].items()
    ]


def view(model: type[BaseModel], *statuses: int, with_language: bool = False) -> dict[str, Any]:
    """Return the documentation of an endpoint that reads a view, as arguments of its route.

    `model` is of its query parameters; `statuses` are errors besides those of every view.
    """
    headers = _VIEW_HEADERS | (_LANGUAGE if with_language else {})
    responses = {
        200: {"description": "What the view says.", "headers": headers},
        304: {"description": "The answer is the one the client has.", "headers": headers},
        **problems(401, 403, 404, 422, 503, *statuses),
    }
    return {"responses": responses, "openapi_extra": {"parameters": parameters(model)}}


class DocumentedApi(FastAPI):
    """An application whose document is true where FastAPI's own would not be.

    Errors would be described as `application/json`, so the endpoints refer to their schema by name
    and it is added here. A parameter that may be left out would be described as one that may be
    null, which no query can say. Tokens are read by a dependency that FastAPI does not know of.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["components"]["schemas"] |= _problem_schemas()
            document["components"]["securitySchemes"] = _BEARER
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    if path.startswith("/v1/"):
                        operation["security"] = [{"bearer": []}]
                    for parameter in operation.get("parameters", []):
                        parameter["schema"] = _without_null(parameter["schema"])
        return super().openapi()


def _problem_schemas() -> dict[str, Any]:
    _, schemas = models_json_schema(
        [(ProblemDetails, "serialization")], ref_template="#/components/schemas/{model}"
    )
    return dict(schemas["$defs"])


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    match schema:
        case {"anyOf": [only, {"type": "null"}], **rest}:
            return {**rest, **only}
        case _:
            return schema
