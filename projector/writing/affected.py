"""The keys that stored facts affect: which runs have to be computed again."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import asyncpg


class Reference(NamedTuple):
    """What a run's `trigger_ref` and one of an inbound event's two ids meet in."""

    kind: Literal["event", "provider"]
    project_id: str
    ref: str


@dataclass(slots=True)
class Affected:
    """Keys that stored facts affect, by what they were and by what they are.

    The rows taken in are those that `upsert` returns: columns by name, the old ones as `was_…`.
    """

    runs: set[str] = field(default_factory=set)
    """Runs whose own facts changed."""
    references: set[Reference] = field(default_factory=set)
    """References that runs and inbound events meet in, from either side."""
    inbound: set[Reference] = field(default_factory=set)
    """Those of them that an inbound event names: they may lead to other runs."""
    incidents: set[str] = field(default_factory=set)
    """Incidents whose evidence changed."""

    def by_runs(self, rows: Iterable[asyncpg.Record]) -> None:
        """Take in rows of `run_fact`."""
        for row in rows:
            self.runs.add(str(row["run_id"]))
            self.references |= _references(
                row["project_id"], row["trigger_event"], row["trigger_ref"]
            )

    def by_items(self, rows: Iterable[asyncpg.Record]) -> None:
        """Take in rows of `item` that name incidents or decide."""
        for row in rows:
            self._add_runs(row)

    def by_inbound(self, rows: Iterable[asyncpg.Record]) -> None:
        """Take in rows of `inbound`."""
        for row in rows:
            self._add_runs(row)
            for was in ("", "was_"):
                if (project_id := row[was + "project_id"]) is not None:
                    provider_id = row[was + "provider_event_id"]
                    self.inbound |= _references(project_id, row["event_uuid"], provider_id)
        self.references |= self.inbound

    def by_evidence(self, rows: Iterable[asyncpg.Record]) -> None:
        """Take in rows of `evidence`."""
        for row in rows:
            self.incidents |= {row["incident_id"], row["was_incident_id"]} - {None}

    def _add_runs(self, row: asyncpg.Record) -> None:
        self.runs |= {str(run) for run in (row["run_id"], row["was_run_id"]) if run is not None}


def _references(project_id: str, event_id: object, provider_id: str | None) -> set[Reference]:
    found: set[Reference] = set()
    if event_id is not None:
        found.add(Reference("event", project_id, str(event_id)))
    if provider_id is not None:
        found.add(Reference("provider", project_id, provider_id))
    return found
