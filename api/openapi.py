"""The OpenAPI document."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.models.base import ProblemDetails


class DocumentedApi(FastAPI):
    """An application whose document describes its errors too.

    FastAPI would describe them as `application/json`, which they are not, so the endpoints refer
    to their schema by name and it is added here.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            _, problem = models_json_schema(
                [(ProblemDetails, "serialization")],
                ref_template="#/components/schemas/{model}",
            )
            document["components"]["schemas"] |= problem["$defs"]
        return super().openapi()
