"""The parameters of the run list, and the conditions they make."""

from typing import Annotated, Self

from pydantic import Field

from api.auth import Bearer
from api.parameters import (
    DIGITS,
    CursorText,
    IncidentId,
    Moment,
    Parameters,
    ProjectId,
    RemediationStatus,
    State,
)
from api.reading import Arguments
from contracts.incidents import incident_key


class CountsParameters(Parameters):
    """Parameters of the counts."""

    project_id: list[ProjectId] | None = None
    """Only these projects."""

    def seen_by(self, bearer: Bearer) -> Self:
        """Return the same filter over the projects that exist for the bearer."""
        return self.model_copy(update={"project_id": bearer.among(self.project_id)})


class RunParameters(CountsParameters):
    """Parameters of the run list."""

    state: list[State] | None = None
    """Only runs in one of these states."""
    remediation_status: list[RemediationStatus] | None = None
    """Only runs whose summary has one of these statuses."""
    incident_id: IncidentId | None = None
    """Only runs of this incident."""
    created_after: Moment | None = None
    """Only runs created at this time or later."""
    created_before: Moment | None = None
    """Only runs created before this time."""
    page: Annotated[int, Field(ge=1, le=1_000_000_000), DIGITS] = 1
    """Number of the page."""
    per_page: Annotated[int, Field(ge=1, le=200), DIGITS] = 50
    """Runs on a page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before, instead of `page`."""

    @property
    def offset(self) -> int:
        """How many runs come before the page."""
        return 0 if self.cursor else (self.page - 1) * self.per_page

    @property
    def is_by_status(self) -> bool:
        """Whether only runs of some states or remediation statuses are meant."""
        return self.state is not None or self.remediation_status is not None

    def chosen(self, bind: Arguments, table: str) -> list[str]:
        """Return the conditions on project, state and remediation status."""
        wanted = {
            "project_id": self.project_id,
            "state": self.state,
            "status": self.remediation_status,
        }
        return [
            f"{table}.{column} = ANY ({bind.bind(values, 'text[]')})"
            for column, values in wanted.items()
            if values is not None
        ]

    def of_incident(self, bind: Arguments, table: str) -> list[str]:
        """Return the condition on the incident, where there is one, and those of `chosen`."""
        if self.incident_id is None:
            return self.chosen(bind, table)
        incident = bind.bind(incident_key(self.incident_id), "text")
        return [f"{table}.incident = {incident}", *self.chosen(bind, table)]

    def ranged(self, bind: Arguments, table: str) -> list[str]:
        """Return the conditions on the time of creation."""
        bounds = {">=": self.created_after, "<": self.created_before}
        return [
            f"{table}.created_at {operator} {bind.bind(bound, 'timestamptz')}"
            for operator, bound in bounds.items()
            if bound is not None
        ]
