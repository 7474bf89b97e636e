"""The timeline of a run."""

from datetime import datetime

from api.models.base import Answer, Metadata, View
from api.queries.entries import Kind


class Entry(Answer):
    """Something that happened in a run."""

    ts: datetime
    """When."""
    kind: Kind
    """Kind of thing."""
    title: str
    """What, in the language of the answer."""
    status: str | None
    """How it stands or ended."""
    summary: str | None
    """More in words."""
    metadata: Metadata
    """More for programs; which members depends on the kind."""


class TimelinePage(View):
    """A page of a timeline, oldest first."""

    timeline: list[Entry]
    """The entries of this page."""
    next_cursor: str | None
    """Cursor of the next page; null on the last one."""
