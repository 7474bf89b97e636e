"""Why an approval token does not allow the call that is about to be made.

RunfoldError
├── ApprovalRefused             do not make the call
│   ├── UnreadableToken         it is no approval token
│   │   ├── Malformed           not a JWT, or a claim of the wrong type
│   │   ├── MissingClaim        a claim is not there
│   │   └── WrongType           a JWT made for something else
│   ├── UntrustedToken          who made it cannot be told
│   │   ├── WrongAlgorithm      signed, if at all, with anything but EdDSA
│   │   ├── UnknownKey          signed by a key that is not published, or is so no more
│   │   └── BadSignature        changed since, or signed by another key than it names
│   ├── OutOfTime
│   │   ├── Expired             its time is over
│   │   └── NotYetValid         its time has not come
│   ├── OtherCall               genuine, for something else than this call
│   │   ├── WrongIssuer
│   │   ├── WrongAudience
│   │   ├── WrongProject
│   │   ├── WrongRun
│   │   ├── WrongVersion        the run has moved on since, or had not come so far
│   │   ├── WrongTool
│   │   └── WrongArguments
│   ├── NotApproved             it proves a rejection
│   └── AlreadyUsed             its one call has been made
├── KeysUnavailable             nothing is known of the token yet: verify it again later
└── TokenTooLong                what was decided on does not fit into a token
"""

from typing import ClassVar

from contracts.errors import OperationError, RunfoldError


class ApprovalRefused(RunfoldError):
    """The token does not allow the call. Only `NotYetValid` may pass with time.

    The message is one line and never holds the token.
    """


class UnreadableToken(ApprovalRefused):
    """What was given is no approval token."""


class Malformed(UnreadableToken):
    """Not a JWT in its compact form, too long, or a claim is twice there or of the wrong type."""


class MissingClaim(UnreadableToken):
    """A claim is not there; the message names it."""


class WrongType(UnreadableToken):
    """A JWT, made for something else: its `typ` is another."""


class UntrustedToken(ApprovalRefused):
    """Who made the token cannot be told."""


class WrongAlgorithm(UntrustedToken):
    """Not signed with EdDSA, whatever else it may be signed with."""


class UnknownKey(UntrustedToken):
    """Signed by a key that is not among the published ones, or names no key."""


class BadSignature(UntrustedToken):
    """The signature does not fit the token and the key it names."""


class OutOfTime(ApprovalRefused):
    """The token is not valid at this time."""


class Expired(OutOfTime):
    """The token's time is over."""


class NotYetValid(OutOfTime):
    """The token is from the future by more than clocks may differ."""


class OtherCall(ApprovalRefused):
    """The token is genuine and allows something else; its single use is still to be had."""

    claim: ClassVar[str]
    """The claim that is not what the call needs."""


class WrongIssuer(OtherCall):
    """Issued by another service."""

    claim = "iss"


class WrongAudience(OtherCall):
    """Issued to another service."""

    claim = "aud"


class WrongProject(OtherCall):
    """Issued for a run of another project."""

    claim = "project_id"


class WrongRun(OtherCall):
    """Issued for another run."""

    claim = "run_id"


class WrongVersion(OtherCall):
    """Issued for another version of the run."""

    claim = "run_version"


class WrongTool(OtherCall):
    """Issued for a call of another tool."""

    claim = "tool_name"


class WrongArguments(OtherCall):
    """Issued for a call with other arguments."""

    claim = "arguments_sha256"


class NotApproved(ApprovalRefused):
    """The token proves that a human has rejected the call."""


class AlreadyUsed(ApprovalRefused):
    """The token's single use has been had."""


class KeysUnavailable(OperationError):
    """The published keys cannot be had now; the token may be a good one. Verify it again later."""


class TokenTooLong(OperationError):
    """What was decided on does not fit into a token."""
