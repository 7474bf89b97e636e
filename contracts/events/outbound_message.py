"""Topic `outbound-message`: what a run sends to a channel."""

from contracts.events.fields import EventData, Id, ProjectId, Text, Timestamp, Uuid


class MessageOutbound(EventData):
    """One message from a run to people. Entity: the message, `message_id`."""

    event_type = "awooop.channel.message_outbound.v1"

    message_id: Id
    """The message."""
    run_id: Uuid
    """Run that sent it."""
    project_id: ProjectId
    """Project of the run."""
    channel_type: Text
    """Kind of channel it goes to."""
    message_type: Text
    """Part it plays: `approval_request`, `error`, `final`, `interim`, or another."""
    content_preview: Text | None = None
    """Beginning of the message."""
    send_status: Text
    """How far the sending has come."""
    send_error: Text | None = None
    """Why it could not be sent."""
    provider_message_id: Id | None = None
    """The channel provider's own id of the message."""
    queued_at: Timestamp
    """When it was queued."""
    sent_at: Timestamp | None = None
    """When it was sent."""
    triggered_by_state: Text | None = None
    """State of the run that caused it."""
