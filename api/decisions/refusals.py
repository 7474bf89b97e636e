"""Why a decision is not taken: the answers of the API's contract, each with its code.

Refused                   the run was looked at; the answer is kept for the request's key
├── NotWaiting            409  the run waits for no decision
├── AlreadyDecided        409  there is a decision on this version, of which it tells
├── OtherVersion          412  the run is not as it was when it was looked at
├── TooLate               410  the run's time is over
├── SelfApproval          403  who asked for the action may not decide on it
└── NotSignable           409  what is to be allowed does not fit into a token
KeyReused                 422  the key was another request's
NoApprovalKey             503  nothing to sign with
UnusableSubject           403  the bearer's name does not fit into an event
"""

from datetime import datetime
from typing import Any

from api.problems import BadParameter, Problem, Unavailable
from contracts.times import rfc3339

DONE = {"approve": "approved", "reject": "rejected"}


class Refused(Problem):
    """The run was looked at, and no decision is taken."""


class NotWaiting(Refused):
    """The run is in another state."""

    def __init__(self, state: str) -> None:
        super().__init__(409, "not_waiting", f"the run is in state {state}: it waits for nobody")


class AlreadyDecided(Refused):
    """Somebody has decided on this version of the run; who is told if the bearer may see it."""

    def __init__(self, made: dict[str, Any] | None) -> None:
        if made is None:
            super().__init__(409, "already_decided", "somebody has decided on it")
            return
        known = ("command_id", "decision", "approver_id", "decided_at")
        who, done, when = made["approver_id"], DONE[made["decision"]], made["decided_at"]
        super().__init__(
            409,
            "already_decided",
            f"{who} {done} it at {when}",
            members={"decision": {name: made[name] for name in known}},
        )


class OtherVersion(Refused):
    """The run has another version than the one that was looked at."""

    def __init__(self, version: int) -> None:
        super().__init__(412, "other_version", f"the run is at version {version}: look at it again")


class TooLate(Refused):
    """The time in which the run could be decided on is over."""

    def __init__(self, timeout_at: datetime) -> None:
        super().__init__(410, "timed_out", f"the run's time was over at {rfc3339(timeout_at)}")


class SelfApproval(Refused):
    """Who asked for the action may not decide on it."""

    def __init__(self) -> None:
        super().__init__(403, "self_approval", "you asked for this action: another has to decide")


class NotSignable(Refused):
    """What is to be allowed does not fit into an approval token."""

    def __init__(self) -> None:
        detail = "the action's names are too long for an approval token: it can only be rejected"
        super().__init__(409, "not_signable", detail)


class KeyReused(BadParameter):
    """The idempotency key came with another request before."""

    def __init__(self) -> None:
        wrong = "it came with another request before: a new request needs a new key"
        super().__init__({"Idempotency-Key": wrong}, code="idempotency_key_reused")


class NoApprovalKey(Unavailable):
    """This service has no key to sign approvals with."""

    def __init__(self) -> None:
        detail = "approvals cannot be signed here: RUNFOLD_APPROVAL_KEY is not set"
        super().__init__("no_approval_key", detail, retry_after=60)


class UnusableSubject(Problem):
    """The bearer's name is longer than an event can say."""

    def __init__(self, longest: int) -> None:
        detail = f"the token's subject has more than {longest} characters"
        super().__init__(403, "unusable_subject", detail)
