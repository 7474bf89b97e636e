"""Which projection reads which topic: a projection is data, not a class."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from contracts.envelope import Event
from contracts.events import Payload
from projector.projections import (
    catalogue,
    decision,
    evidence,
    gateway_call,
    inbound,
    outbound,
    run,
    step,
)
from projector.projections.rows import Row


class Projection(NamedTuple):
    """How the events of one topic become rows of one table."""

    table: str
    entity: Callable[[Any], tuple[str, ...]]
    """Payload to the entity its events replace one another in."""
    row: Callable[[Event[Any]], Row]


BY_SUFFIX: Final[dict[str, Projection]] = {
    "run-state": Projection("run_fact", lambda data: (data.run_id,), run.row),
    "step-journal": Projection("item", lambda data: (data.run_id, data.step_id), step.row),
    "outbound-message": Projection("item", lambda data: (data.message_id,), outbound.row),
    "conversation-event": Projection("inbound", lambda data: (data.event_id,), inbound.row),
    "mcp-gateway-audit": Projection("item", lambda data: (data.call_id,), gateway_call.row),
    "mcp-legacy-audit": Projection("evidence", lambda data: (data.id,), evidence.record),
    "remediation-evidence": Projection("evidence", lambda data: (data.id,), evidence.item),
    "project": Projection("project", lambda data: (data.project_id,), catalogue.project),
    "contract-revision": Projection(
        "contract_revision", lambda data: (data.revision_id,), catalogue.revision
    ),
    "approval-command": Projection("item", lambda data: (data.command_id,), decision.row),
}

VersionKey = tuple[int, Any, str]


def version(event: Event[Payload]) -> VersionKey:
    """Return what orders the events of one entity; Python compares `id` by code point too."""
    return event.entityversion, event.time, event.id
