"""The keys that stored facts affect: which runs have to be computed again."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, TypeAlias

import asyncpg

Rows: TypeAlias = Sequence[asyncpg.Record]
"""Rows that `upsert` returned: columns by name, what they were before as `was_…`."""


class Reference(NamedTuple):
    """What a run's `trigger_ref` and one of an inbound event's two ids meet in."""

    kind: Literal["event", "provider"]
    project_id: str
    ref: str


class Affected(NamedTuple):
    """Keys that stored facts affect, by what they were and by what they are."""

    runs: AbstractSet[str]
    """Runs whose own facts changed."""
    references: AbstractSet[Reference] = frozenset()
    """References that runs and inbound events meet in, from either side."""
    inbound: AbstractSet[Reference] = frozenset()
    """Those of them that an inbound event names: they may lead to other runs."""
    incidents: AbstractSet[str] = frozenset()
    """Incidents whose evidence changed."""


def affected_by(facts: Rows, items: Rows, inbound: Rows, evidence: Rows) -> Affected:
    """Return the keys affected by rows of `run_fact`, `item`, `inbound` and `evidence`."""
    runs = {row["run_id"] for row in facts}
    runs |= {row[run] for row in (*items, *inbound) for run in ("run_id", "was_run_id")}
    named = {
        reference
        for row in inbound
        for was in ("", "was_")
        for reference in _references(
            row[was + "project_id"], row["event_uuid"], row[was + "provider_event_id"]
        )
    }
    triggers = {
        reference
        for row in facts
        for reference in _references(row["project_id"], row["trigger_event"], row["trigger_ref"])
    }
    incidents = {row[key] for row in evidence for key in ("incident_id", "was_incident_id")}
    return Affected(
        runs={str(run) for run in runs - {None}},
        references=triggers | named,
        inbound=named,
        incidents=incidents - {None},
    )


def _references(
    project_id: str | None, event_id: object, provider_id: str | None
) -> Iterator[Reference]:
    if project_id is None:
        return  # the row is new: it named nothing before
    if event_id is not None:
        yield Reference("event", project_id, str(event_id))
    if provider_id is not None:
        yield Reference("provider", project_id, provider_id)
