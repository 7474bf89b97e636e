"""Inbound channel events, rows of `inbound`: the channel list, and `inbound` in the timeline."""

from typing import Final

from contracts import incidents
from contracts.envelope import Event
from contracts.events import EventReceived
from contracts.keys import index_key
from projector.projections.rows import Row, dumps, fields

NOT_SHOWN: Final = ("project_id", "run_id", "content_redacted", "source_envelope")


def row(event: Event[EventReceived]) -> Row:
    """Return the row of an inbound event."""
    data = event.data
    mentioned = [
        *incidents.in_source_envelope(data.source_envelope),
        *incidents.in_text(data.content_preview),
        *incidents.in_text(data.content_redacted),
    ]
    return {
        "event_uuid": data.event_id,
        "run_id": data.run_id,
        "provider_event_id": data.provider_event_id,
        "channel_type": index_key(data.channel_type),
        "received_at": data.received_at,
        "title": f"{data.channel_type} 入站事件",
        "title_en": f"{data.channel_type} inbound event",
        "status": "duplicate" if data.is_duplicate else "received",
        "summary": data.content_preview,
        "metadata": dumps({"provider_event_id": data.provider_event_id}),
        "incidents": incidents.unique(mentioned),
        "detail": dumps(fields(data, *NOT_SHOWN)),
    }
