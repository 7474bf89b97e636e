"""A decision as a command to the engine: the event to publish, and the approval in it.

Pure: what it is made of, the identities and the time are given.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from api.decisions.asking import Ask
from api.decisions.refusals import NoApprovalKey, NotSignable, UnusableSubject
from contracts.envelope import Event
from contracts.events import ApprovalDecided
from contracts.fields import ID_LENGTH
from contracts.signing_keys import SigningKeys, TokenTooLong
from contracts.tokens import Approval

SOURCE: Final = "runfold"
NEW_STATES: Final[dict[str, Literal["running", "cancelled"]]] = {
    "approve": "running",
    "reject": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues approval tokens, and to whom."""

    keys: SigningKeys | None
    issuer: str
    audience: str
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Subject:
    """The run that is decided on, as the view has it."""

    run_id: str
    project_id: str
    version: int
    action: dict[str, Any]
    """The pending action; empty where the run names none."""
    traceparent: str | None
    """The trace that the run's event belongs to."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What is new about a decision."""

    command_id: str
    jti: str
    """Id of the approval token."""
    decided_at: datetime


def decided(
    ask: Ask, subject: Subject, approver: str, identity: Identity, issuer: Issuer
) -> Event[ApprovalDecided]:
    """Return the event that tells of the decision, with the token where it is an approval.

    Raises `NoApprovalKey`, `NotSignable` and `UnusableSubject`.
    """
    if len(approver) > ID_LENGTH:
        raise UnusableSubject(ID_LENGTH)
    is_approval = ask.decision == "approve"
    return Event(
        specversion="1.0",
        id=identity.command_id,
        source=SOURCE,
        type=ApprovalDecided.event_type,
        time=identity.decided_at,
        subject=identity.command_id,
        traceparent=ask.traceparent or subject.traceparent,
        data=ApprovalDecided(
            command_id=identity.command_id,
            run_id=subject.run_id,
            project_id=subject.project_id,
            decision=ask.decision,
            approver_id=approver,
            reason=ask.reason,
            run_version=subject.version,
            tool_name=subject.action.get("tool_name"),
            arguments_sha256=subject.action.get("arguments_sha256"),
            approval_token=_token(subject, approver, identity, issuer) if is_approval else None,
            approval_token_jti=identity.jti if is_approval else None,
            decided_at=identity.decided_at,
            new_state=NEW_STATES[ask.decision],
        ),
    )


def _token(subject: Subject, approver: str, identity: Identity, issuer: Issuer) -> str:
    if issuer.keys is None:
        raise NoApprovalKey
    approval = Approval(
        iss=issuer.issuer,
        aud=issuer.audience,
        sub=approver,
        jti=identity.jti,
        iat=int(identity.decided_at.timestamp()),
        exp=int((identity.decided_at + issuer.lifetime).timestamp()),
        project_id=subject.project_id,
        run_id=subject.run_id,
        run_version=subject.version,
        decision="approve",
        tool_name=subject.action.get("tool_name"),
        arguments_sha256=subject.action.get("arguments_sha256"),
    )
    try:
        return issuer.keys.sign(approval)
    except TokenTooLong:
        raise NotSignable from None
