"""Inbound channel events."""

from datetime import datetime

from api.models.base import Answer, Count, Uuid, View


class ChannelEvent(Answer):
    """An inbound event."""

    event_id: Uuid
    project_id: str
    channel_type: str
    provider_event_id: str | None
    channel_chat_id: str | None
    content_preview: str | None
    is_duplicate: bool
    received_at: datetime


class ChannelEvents(View):
    """The newest events."""

    events: list[ChannelEvent]
    total: Count
    """How many there are in `events`."""
    limit: int
    """How many there may be."""
