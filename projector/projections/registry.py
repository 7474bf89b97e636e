"""Which projection reads which topic: a projection is data, not a class."""

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, Final, NamedTuple

from contracts.envelope import Event
from projector.projections import catalogue, evidence, inbound, items, run
from projector.projections.rows import Row


class Projection(NamedTuple):
    """How the events of one topic become rows of one table."""

    table: str
    entity: Callable[[Any], Hashable]
    """Payload to the entity; of an entity's events the one of the greatest version wins."""
    columns: Callable[[Event[Any]], Row]
    """Winning event to the columns that only its table has."""
    state: Callable[[Event[Any]], Row] | None = None
    """Any event to the row of `run_state` that it makes, whether or not it wins."""

    def row(self, event: Event[Any]) -> Row:
        """Return the row of an entity whose winning event this is."""
        row = self.columns(event)
        row["project_id"] = event.data.project_id
        row["version"] = event.entityversion
        row["event_time"] = event.time
        row["event_id"] = event.id
        return row


BY_SUFFIX: Final[dict[str, Projection]] = {
    "run-state": Projection("run_fact", attrgetter("run_id"), run.row, run.state),
    "step-journal": Projection("item", attrgetter("run_id", "step_id"), items.step),
    "outbound-message": Projection("item", attrgetter("message_id"), items.outbound),
    "conversation-event": Projection("inbound", attrgetter("event_id"), inbound.row),
    "mcp-gateway-audit": Projection("item", attrgetter("call_id"), items.gateway_call),
    "mcp-legacy-audit": Projection("evidence", attrgetter("id"), evidence.record),
    "remediation-evidence": Projection("evidence", attrgetter("id"), evidence.item),
    "project": Projection("project", attrgetter("project_id"), catalogue.project),
    "contract-revision": Projection(
        "contract_revision", attrgetter("revision_id"), catalogue.revision
    ),
    "approval-command": Projection("item", attrgetter("command_id"), items.decision),
}
