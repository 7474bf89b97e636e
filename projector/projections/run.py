"""Run snapshots: the run list's row and the detail's `run` object."""

import re
from typing import Final

from contracts import incidents
from contracts.envelope import Event, trace
from contracts.events import RunStateChanged
from contracts.keys import LONGEST_KEY, UUID
from projector.projections.rows import RunRow, StateRow, run_row
from projector.projections.text import dumps, fields

_IS_UUID: Final = re.compile(UUID).fullmatch

LISTED: Final = (
    "run_id",
    "project_id",
    "agent_id",
    "state",
    "is_shadow",
    "cost_usd",
    "step_count",
    "created_at",
    "timeout_at",
)


def row(event: Event[RunStateChanged]) -> RunRow:
    """Return the row of a run whose winning event this is."""
    data = event.data
    known = fields(data)
    ref = data.trigger_ref
    return run_row(
        run_id=data.run_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        state=data.state,
        created_at=data.created_at,
        started_at=data.started_at,
        completed_at=data.completed_at,
        timeout_at=data.timeout_at,
        trigger_ref=ref if ref is not None and len(ref) <= LONGEST_KEY else None,
        trigger_event=_event_id(ref),
        incidents=incidents.unique(
            [*incidents.in_text(ref), *incidents.in_text(data.error_detail)]
        ),
        listing=dumps({name: known[name] for name in LISTED}),
        detail=dumps(known),
        pending_action=dumps(data.pending_action) if data.pending_action else None,
        traceparent=trace(event.traceparent),
    )


def _event_id(ref: str | None) -> str | None:
    """Return the inbound event a trigger reference can name: a UUID in any letter case."""
    return ref.lower() if ref is not None and _IS_UUID(ref) else None


def state(event: Event[RunStateChanged]) -> StateRow:
    """Return the state this event has seen the run in, whether or not the event wins."""
    data = event.data
    return StateRow(data.run_id, data.project_id, data.state_changed_at, data.state)
