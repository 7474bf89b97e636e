"""Topic `conversation-event`: what comes in from channels."""

from contracts.events.fields import EventData, Id, JsonObject, ProjectId, Text, Timestamp, Uuid


class EventReceived(EventData):
    """One inbound event of a channel. Entity: the inbound event, `event_id`."""

    event_type = "awooop.channel.event_received.v1"

    event_id: Uuid
    """The inbound event."""
    project_id: ProjectId
    """Project it came in for."""
    run_id: Uuid | None = None
    """Run it is known to belong to."""
    channel_type: Text
    """Kind of channel it came from."""
    provider_event_id: Id | None = None
    """The channel provider's own id of the event."""
    channel_chat_id: Id | None = None
    """Conversation it is part of."""
    content_preview: Text | None = None
    """Beginning of its content."""
    content_redacted: Text | None = None
    """Its content with secrets taken out."""
    source_envelope: JsonObject | None = None
    """What the channel delivered around the content, as it came."""
    is_duplicate: bool = False
    """Whether the platform had seen it before."""
    received_at: Timestamp
    """When it was received."""
