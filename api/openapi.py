"""The OpenAPI document."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.models.base import ProblemDetails


class DocumentedApi(FastAPI):
    """An application whose document is true where FastAPI's own would not be.

    Errors would be described as `application/json`, so the endpoints refer to their schema by
    name and it is added here. A parameter that may be left out would be described as one that
    may be null, which no query can say.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["components"]["schemas"] |= _problem_schemas()
            for path in document["paths"].values():
                for operation in path.values():
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
