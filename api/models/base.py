"""What all answers have in common."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema


class Answer(BaseModel):
    """An object of exactly these members."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class View(Answer):
    """An answer that was read from a view."""

    as_of: datetime | None
    """Commit time of the newest batch the view contains; null before the first one."""


Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Money = Annotated[float, Field(ge=0)]
"""An amount in US dollars, with all its digits."""
Count = Annotated[int, Field(ge=0)]
Language = Literal["zh-TW", "en"]
Metadata = dict[str, Any]


class ProblemError(Answer):
    """What is wrong with one parameter."""

    parameter: str
    """Name of the parameter."""
    detail: str
    """What is wrong with it."""


class DecisionMade(Answer):
    """A decision on a run."""

    command_id: Uuid
    decision: Literal["approve", "reject"]
    approver_id: str
    """Who decided."""
    decided_at: datetime


class ProblemDetails(Answer):
    """An error (RFC 9457)."""

    type: str
    """Kind of problem as a URI; `about:blank`: the status says it."""
    title: str
    """The status in words."""
    status: int
    """HTTP status."""
    detail: str
    """What is wrong, for people."""
    code: str
    """What is wrong, for programs; stable."""
    errors: list[ProblemError] = []
    """Parameters that are wrong; only where there are some."""
    decision: DecisionMade = None  # type: ignore[assignment]
    """With `already_decided`: the decision that there is."""
