"""Which projection reads which topic: a projection is data, not a class."""

from collections.abc import Callable, Hashable
from operator import attrgetter
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
    entity: Callable[[Any], Hashable]
    """Payload to the entity its events replace one another in."""
    row: Callable[[Event[Any]], Row]


BY_SUFFIX: Final[dict[str, Projection]] = {
    "run-state": Projection("run_fact", attrgetter("run_id"), run.row),
    "step-journal": Projection("item", attrgetter("run_id", "step_id"), step.row),
    "outbound-message": Projection("item", attrgetter("message_id"), outbound.row),
    "conversation-event": Projection("inbound", attrgetter("event_id"), inbound.row),
    "mcp-gateway-audit": Projection("item", attrgetter("call_id"), gateway_call.row),
    "mcp-legacy-audit": Projection("evidence", attrgetter("id"), evidence.record),
    "remediation-evidence": Projection("evidence", attrgetter("id"), evidence.item),
    "project": Projection("project", attrgetter("project_id"), catalogue.project),
    "contract-revision": Projection(
        "contract_revision", attrgetter("revision_id"), catalogue.revision
    ),
    "approval-command": Projection("item", attrgetter("command_id"), decision.row),
}

VersionKey = tuple[int, Any, str]


def version(event: Event[Payload]) -> VersionKey:
    """Return what orders the events of one entity; Python compares `id` by code point too."""
    return event.entityversion, event.time, event.id
