"""What a decision asks for, why it may be refused, and the event it makes.

Pure but for reading the request's body: `deciding` brings the run and the time.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import orjson
from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from api.parameters import Text
from api.problems import Problem, bad_parameter, plain, unavailable
from contracts.envelope import Event, trace
from contracts.events import ApprovalDecided
from contracts.fields import ID_LENGTH, INT64_MAX
from contracts.signing_keys import SigningKeys, TokenTooLong
from contracts.times import rfc3339
from contracts.tokens import Approval

MAX_BODY_BYTES: Final = 65_536
"""More than the longest reason takes, however it is escaped."""
MEDIA_TYPE: Final = "application/json"
KEY_PATTERN: Final = r"^[!-~]([ -~]{0,198}[!-~])?$"
_KEY: Final = re.compile(KEY_PATTERN.replace("$", r"\Z"))
_NAME_LENGTH: Final = 100

WAITING: Final = "waiting_approval"
SOURCE: Final = "runfold"
NEW_STATES: Final[dict[str, Literal["running", "cancelled"]]] = {
    "approve": "running",
    "reject": "cancelled",
}
_DONE: Final = {"approve": "approved", "reject": "rejected"}


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
    body: DecisionRequest
    if_match: str | None
    """The entity tags of `If-Match`; a run's is its version."""
    key: str | None
    """The `Idempotency-Key`."""
    traceparent: str | None
    """W3C trace context of the request."""

    @property
    def digest(self) -> bytes:
        """What two requests with one key must have in common: the run and the body."""
        asked = [self.run_id, self.body.decision, self.body.reason, self.body.run_version]
        return hashlib.blake2b(orjson.dumps(asked), digest_size=32).digest()

    def is_about(self, version: int) -> bool:
        """Whether the request was made looking at this version, as far as it says."""
        if self.body.run_version not in {None, version}:
            return False
        tags = {tag.strip() for tag in (self.if_match or "*").split(",")}
        return bool(tags & {"*", f'"{version}"', str(version)})


async def read(request: Request, run_id: str, project_id: str | None) -> Ask:
    """Return what a request asks for. Raises `Problem`: 400, 413, 415, 422."""
    key = _key(request)
    body = _parsed(await _body(request))
    if body.decision == "reject" and not (body.reason or "").strip():
        raise bad_parameter({"reason": "a rejection needs a reason"})
    tags = request.headers.getlist("If-Match")
    if not all(each.strip() for each in tags):
        raise bad_parameter({"If-Match": "it should name a version of the run, or be *"})
    traces = request.headers.getlist("traceparent")
    traceparent = trace(traces[0]) if len(traces) == 1 else None
    return Ask(run_id, project_id, body, ", ".join(tags) or None, key, traceparent)


def _key(request: Request) -> str | None:
    given = request.headers.getlist("Idempotency-Key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.match(given[0]):
        raise bad_parameter({"Idempotency-Key": "it should be 1 to 200 printable ASCII characters"})
    return given[0]


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
        raise bad_parameter(wrong) from None


class Refusal(Enum):
    """Why a run that was looked at is not decided on: status and detail."""

    NOT_WAITING = 409, "the run is in state {}: it does not wait for a decision"
    ALREADY_DECIDED = 409, "{}"
    OTHER_VERSION = 412, "the run is at version {}: look at it again"
    TIMED_OUT = 410, "the run's time was over at {}"
    SELF_APPROVAL = 403, "you asked for this action: somebody else has to decide"
    NOT_SIGNABLE = 409, "the action's names are too long for an approval token: only reject it"


class Refused(Problem):
    """A refusal; it is remembered as the answer to its idempotency key."""

    def __init__(self, why: Refusal, *said: object, **members: Any) -> None:
        status, detail = why.value
        super().__init__(status, why.name.lower(), detail.format(*said), members=members)


@dataclass(frozen=True, slots=True)
class Run:
    """A run at the moment of the decision."""

    run_id: str
    project_id: str
    state: str
    version: int
    timeout_at: datetime | None
    action: dict[str, Any]
    """The pending action; empty where the run names none."""
    traceparent: str | None
    """The trace that the run's event belongs to."""
    made: dict[str, Any] | None
    """The decision on its present version."""
    now: datetime
    """The database's time: all processes go by one clock."""


def judge(run: Run, approver: str, ask: Ask) -> None:
    """Raise the first `Refused` that applies, in the contract's order."""
    if run.state != WAITING:
        raise Refused(Refusal.NOT_WAITING, run.state)
    if run.made is not None:
        raise already_decided(run.made)
    if not ask.is_about(run.version):
        raise Refused(Refusal.OTHER_VERSION, run.version)
    if run.timeout_at is not None and run.timeout_at <= run.now:
        raise Refused(Refusal.TIMED_OUT, rfc3339(run.timeout_at))
    if run.action.get("requested_by") == approver:
        raise Refused(Refusal.SELF_APPROVAL)


def already_decided(made: dict[str, Any] | None) -> Refused:
    """Return the refusal where a decision was made; None is one the bearer may not see."""
    if made is None:
        return Refused(Refusal.ALREADY_DECIDED, "somebody has decided on it")
    shown = {name: made[name] for name in ("command_id", "decision", "approver_id", "decided_at")}
    said = f"{made['approver_id']} {_DONE[made['decision']]} it at {made['decided_at']}"
    return Refused(Refusal.ALREADY_DECIDED, said, decision=shown)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues approval tokens, and for whom."""

    keys: SigningKeys | None
    issuer: str
    audience: str
    lifetime: timedelta


def decided(ask: Ask, run: Run, approver: str, issuer: Issuer) -> Event[ApprovalDecided]:
    """Return the event that says what was decided, with a token where it is an approval.

    Raises `Refused` (`not_signable`) and `Problem`: 403 `unusable_subject`, 503 `no_approval_key`.
    """
    if len(approver) > ID_LENGTH:
        detail = f"the token's subject has more than {ID_LENGTH} characters"
        raise Problem(403, "unusable_subject", detail)
    command_id, jti = str(uuid4()), str(uuid4())
    is_approval = ask.body.decision == "approve"
    return Event(
        specversion="1.0",
        id=command_id,
        source=SOURCE,
        type=ApprovalDecided.event_type,
        time=run.now,
        subject=command_id,
        traceparent=ask.traceparent or run.traceparent,
        data=ApprovalDecided(
            command_id=command_id,
            run_id=run.run_id,
            project_id=run.project_id,
            decision=ask.body.decision,
            approver_id=approver,
            reason=ask.body.reason,
            run_version=run.version,
            tool_name=run.action.get("tool_name"),
            arguments_sha256=run.action.get("arguments_sha256"),
            approval_token=_token(run, approver, jti, issuer) if is_approval else None,
            approval_token_jti=jti if is_approval else None,
            decided_at=run.now,
            new_state=NEW_STATES[ask.body.decision],
        ),
    )


def _token(run: Run, approver: str, jti: str, issuer: Issuer) -> str:
    if issuer.keys is None:
        detail = "approvals cannot be signed here: RUNFOLD_APPROVAL_KEY is not set"
        raise unavailable("no_approval_key", detail, retry_after=60)
    approval = Approval(
        iss=issuer.issuer,
        aud=issuer.audience,
        sub=approver,
        jti=jti,
        iat=int(run.now.timestamp()),
        exp=int((run.now + issuer.lifetime).timestamp()),
        project_id=run.project_id,
        run_id=run.run_id,
        run_version=run.version,
        decision="approve",
        tool_name=run.action.get("tool_name"),
        arguments_sha256=run.action.get("arguments_sha256"),
    )
    try:
        return issuer.keys.sign(approval)
    except TokenTooLong:
        raise Refused(Refusal.NOT_SIGNABLE) from None
