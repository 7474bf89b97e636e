"""Inbound channel events: the channel list, the detail and `inbound` in the timeline."""

from contracts import incidents
from contracts.envelope import Event
from contracts.events import EventReceived
from contracts.keys import index_key
from projector.projections.rows import InboundRow
from projector.projections.text import dumps, fields


def row(event: Event[EventReceived]) -> InboundRow:
    """Return the row of an inbound event whose winning event this is."""
    data = event.data
    return InboundRow(
        event_uuid=data.event_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        run_id=data.run_id,
        provider_event_id=data.provider_event_id,
        channel_type=index_key(data.channel_type),
        received_at=data.received_at,
        title=f"{data.channel_type} 入站事件",
        title_en=f"{data.channel_type} inbound event",
        status="duplicate" if data.is_duplicate else "received",
        summary=data.content_preview,
        metadata=dumps({"provider_event_id": data.provider_event_id}),
        incidents=_incidents(data),
        detail=dumps(fields(data, "project_id", "run_id", "content_redacted", "source_envelope")),
    )


def _incidents(data: EventReceived) -> list[str]:
    return incidents.unique(
        [
            *incidents.in_source_envelope(data.source_envelope),
            *incidents.in_text(data.content_preview),
            *incidents.in_text(data.content_redacted),
        ]
    )
