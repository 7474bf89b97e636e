"""What a bearer asks for when deciding on a run: read from a request, checked before all else."""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import orjson
from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from api.parameters import Text
from api.problems import BadParameter, Problem, plain
from contracts.envelope import trace
from contracts.fields import INT64_MAX

MAX_BODY_BYTES: Final = 65_536
"""More than the longest reason takes, however it is escaped."""
MEDIA_TYPE: Final = "application/json"

KEY_PATTERN: Final = r"^[!-~]([ -~]{0,198}[!-~])?$"
_KEY: Final = re.compile(KEY_PATTERN.replace("$", r"\Z"))
_NAME_LENGTH: Final = 100


def _whole(value: object) -> object:
    # JSON knows one kind of number: 7.0 is the integer 7 to JSON Schema, and so to clients.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class DecisionRequest(BaseModel):
    """A decision on a run that waits for one."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra={
            "if": {"properties": {"decision": {"const": "reject"}}},
            "then": {
                "required": ["reason"],
                "properties": {"reason": {"type": "string", "pattern": r"\S"}},
            },
        },
    )

    decision: Literal["approve", "reject"]
    """What is decided."""
    reason: Text | None = None
    """Why; needed to reject."""
    run_version: Annotated[int | None, Field(ge=0, le=INT64_MAX), BeforeValidator(_whole)] = None
    """Version of the run that was looked at; when it is not the present one, nothing is decided."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a decision."""

    run_id: str
    project_id: str | None
    """The run's project, where the request names it."""
    decision: Literal["approve", "reject"]
    reason: str | None
    run_version: int | None
    if_match: str | None
    """The entity tags of `If-Match`; a run's is its version."""
    key: str | None
    """The `Idempotency-Key`."""
    traceparent: str | None
    """W3C trace context of the request."""

    @property
    def digest(self) -> bytes:
        """What two requests with one key must have in common: the run and the body."""
        asked = [self.run_id, self.decision, self.reason, self.run_version]
        return hashlib.blake2b(orjson.dumps(asked), digest_size=32).digest()

    def is_about(self, version: int) -> bool:
        """Whether this version of the run is the one that was looked at, as far as it is said."""
        if self.run_version not in {None, version}:
            return False
        tags = {tag.strip() for tag in (self.if_match or "*").split(",")}
        return bool(tags & {"*", f'"{version}"', str(version)})


async def read(request: Request, run_id: str, project_id: str | None) -> Ask:
    """Return what a request asks for. Raises `BadParameter`, and `Problem` (400, 413, 415)."""
    key = _key(request)
    body = _parsed(await _body(request))
    if body.decision == "reject" and not (body.reason or "").strip():
        raise BadParameter({"reason": "whoever rejects says why"})
    return Ask(
        run_id=run_id,
        project_id=project_id,
        decision=body.decision,
        reason=body.reason,
        run_version=body.run_version,
        if_match=_if_match(request),
        key=key,
        traceparent=_traceparent(request),
    )


def _key(request: Request) -> str | None:
    given = request.headers.getlist("Idempotency-Key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.match(given[0]):
        raise BadParameter({"Idempotency-Key": "it should be 1 to 200 printable ASCII characters"})
    return given[0]


def _if_match(request: Request) -> str | None:
    given = request.headers.getlist("If-Match")
    if not all(each.strip() for each in given):
        raise BadParameter({"If-Match": "it should name a version of the run, or be *"})
    return ", ".join(given) or None


def _traceparent(request: Request) -> str | None:
    given = request.headers.getlist("traceparent")
    return trace(given[0]) if len(given) == 1 else None


async def _body(request: Request) -> bytes:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        raise Problem(415, "unsupported_media_type", f"the body should be {MEDIA_TYPE}")
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                detail = f"the body has more than {MAX_BODY_BYTES} bytes"
                raise Problem(413, "content_too_large", detail)
    except ClientDisconnect:
        raise Problem(400, "incomplete_request", "the request ended within its body") from None
    return bytes(content)


def _parsed(content: bytes) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate_json(content)
    except ValidationError as error:
        wrong = {}
        for details in error.errors(include_url=False, include_input=False):
            name = str(details["loc"][0]) if details["loc"] else "body"
            wrong[name[:_NAME_LENGTH]] = plain(details)
        raise BadParameter(wrong) from None
