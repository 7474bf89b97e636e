"""Which runs are meant: the filters of the run list, and the conditions they make."""

from dataclasses import dataclass
from datetime import datetime

from api.queries.arguments import Arguments


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Filters of the run list; None filters nothing."""

    projects: list[str] | None = None
    states: list[str] | None = None
    statuses: list[str] | None = None
    """Remediation statuses."""
    incident: str | None = None
    """Key of an incident id (`contracts.incidents.incident_key`)."""
    after: datetime | None = None
    """Earliest `created_at`, itself in the range."""
    before: datetime | None = None
    """First `created_at` after the range."""

    @property
    def is_by_status(self) -> bool:
        """Whether runs of some states or remediation statuses only are meant."""
        return self.states is not None or self.statuses is not None

    def chosen(self, bind: Arguments, table: str) -> list[str]:
        """Return the conditions on project, state and remediation status."""
        wanted = {"project_id": self.projects, "state": self.states, "status": self.statuses}
        return [
            f"{table}.{column} = ANY ({bind.bind(values, 'text[]')})"
            for column, values in wanted.items()
            if values is not None
        ]

    def ranged(self, bind: Arguments, table: str) -> list[str]:
        """Return the conditions on the time of creation."""
        bounds = {">=": self.after, "<": self.before}
        return [
            f"{table}.created_at {operator} {bind.bind(bound, 'timestamptz')}"
            for operator, bound in bounds.items()
            if bound is not None
        ]
