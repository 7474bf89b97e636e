"""What a batch's facts reach: the keys whose runs have to be computed again."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol


class Changed(Protocol):
    """What storing says of one row: columns by name, the old one's as `was_…`."""

    def __getitem__(self, column: str, /) -> Any: ...


class Reference(NamedTuple):
    """What a run's `trigger_ref` and one of an inbound event's two ids meet in."""

    kind: Literal["event", "provider"]
    project_id: str
    ref: str


@dataclass(slots=True)
class Touched:
    """Keys touched by stored facts, before and after the change."""

    runs: set[str] = field(default_factory=set)
    """Runs whose own facts changed."""
    references: set[Reference] = field(default_factory=set)
    """References that runs and inbound events meet in, touched from either side."""
    inbound: set[Reference] = field(default_factory=set)
    """Those of them touched by an inbound event: they may reach other runs."""
    incidents: set[str] = field(default_factory=set)
    """Incidents whose evidence changed."""

    def by_runs(self, changed: Iterable[Changed]) -> None:
        """Take in rows of `run_fact`."""
        for row in changed:
            self.runs.add(str(row["run_id"]))
            self.references |= _references(
                row["project_id"], row["trigger_event"], row["trigger_ref"]
            )

    def by_items(self, changed: Iterable[Changed]) -> None:
        """Take in rows of `item` that name incidents or decide."""
        for row in changed:
            self._add_runs(row)

    def by_inbound(self, changed: Iterable[Changed]) -> None:
        """Take in rows of `inbound`."""
        for row in changed:
            self._add_runs(row)
            self.inbound |= _references(
                row["project_id"], row["event_uuid"], row["provider_event_id"]
            )
            if row["was_project_id"] is not None:
                self.inbound |= _references(
                    row["was_project_id"], row["event_uuid"], row["was_provider_event_id"]
                )
        self.references |= self.inbound

    def by_evidence(self, changed: Iterable[Changed]) -> None:
        """Take in rows of `evidence`."""
        for row in changed:
            self.incidents |= {row["incident_id"], row["was_incident_id"]} - {None}

    def _add_runs(self, row: Changed) -> None:
        self.runs |= {str(run) for run in (row["run_id"], row["was_run_id"]) if run is not None}


def _references(
    project_id: str, event_id: object | None, provider_id: str | None
) -> set[Reference]:
    found: set[Reference] = set()
    if event_id is not None:
        found.add(Reference("event", project_id, str(event_id)))
    if provider_id is not None:
        found.add(Reference("provider", project_id, provider_id))
    return found
