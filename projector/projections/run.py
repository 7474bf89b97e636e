"""Runs: the winning snapshot, a row of `run_fact`, and every state seen, rows of `run_state`."""

import re
from typing import Final

from contracts import incidents
from contracts.envelope import Event, trace
from contracts.events import RunStateChanged
from contracts.keys import LONGEST_KEY, UUID
from projector.projections.rows import Row, dumps, fields

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


def row(event: Event[RunStateChanged]) -> Row:
    """Return the row of a run."""
    data = event.data
    known = fields(data)
    ref = data.trigger_ref
    mentioned = [*incidents.in_text(ref), *incidents.in_text(data.error_detail)]
    return {
        "run_id": data.run_id,
        "state": data.state,
        "created_at": data.created_at,
        "started_at": data.started_at,
        "completed_at": data.completed_at,
        "timeout_at": data.timeout_at,
        "trigger_ref": ref if ref is not None and len(ref) <= LONGEST_KEY else None,
        # the inbound event it can name is a UUID in any letter case
        "trigger_event": ref.lower() if ref is not None and _IS_UUID(ref) else None,
        "incidents": incidents.unique(mentioned),
        "listing": dumps({name: known[name] for name in LISTED}),
        "detail": dumps(known),
        "pending_action": dumps(data.pending_action) if data.pending_action else None,
        "traceparent": trace(event.traceparent),
    }


def state(event: Event[RunStateChanged]) -> Row:
    """Return the state that this event has seen the run in, whether or not the event wins."""
    data = event.data
    return {
        "run_id": data.run_id,
        "project_id": data.project_id,
        "changed_at": data.state_changed_at,
        "state": data.state,
    }
