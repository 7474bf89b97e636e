"""Inbound channel events, newest first."""

from dataclasses import dataclass
from typing import Final

from api.queries.arguments import Arguments, every
from api.reading import Snapshot

# What the detail of a run shows of an event is not quite what this list shows.
PAGE: Final = """
    -- channel events: the newest
    SELECT '[' || coalesce(string_agg(row_to_json(line)::text, ','
        ORDER BY i.received_at DESC, i.event_uuid DESC), '') || ']' AS events, count(*) AS total
    FROM (
        {source} ORDER BY received_at DESC, event_uuid DESC LIMIT {limit}
    ) AS i
    CROSS JOIN LATERAL (
        SELECT i.event_uuid AS event_id, i.project_id,
            i.detail -> 'channel_type' AS channel_type,
            i.detail -> 'provider_event_id' AS provider_event_id,
            i.detail -> 'channel_chat_id' AS channel_chat_id,
            i.detail -> 'content_preview' AS content_preview,
            i.detail -> 'is_duplicate' AS is_duplicate,
            i.detail -> 'received_at' AS received_at
    ) AS line
"""

SOURCE: Final = """
    SELECT i.received_at, i.event_uuid, i.project_id, i.detail FROM inbound i WHERE {within}
"""

BY_PROJECT: Final = """
    SELECT newest.* FROM unnest({projects}) AS p (id) CROSS JOIN LATERAL (
        {source} ORDER BY i.received_at DESC, i.event_uuid DESC LIMIT {limit}
    ) AS newest
"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Filters of the channel events; None filters nothing."""

    projects: list[str] | None
    channel_type: str | None
    """Key of a channel type (`contracts.keys.index_key`)."""
    provider_prefix: str | None
    """What `provider_event_id` starts with, literally."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """The newest channel events."""

    events: str
    """JSON array."""
    total: int
    """How many there are in the array."""
    as_of: str | None


async def newest(snapshot: Snapshot, where: EventFilter, limit: int) -> EventPage:
    """Return the newest events that `where` finds."""
    if where.provider_prefix or where.channel_type is not None:
        # a prefix may be of one event or of all, and so may a channel
        await snapshot.plan_by_values()
    bind = Arguments()
    many = bind.bind(limit, "bigint")
    conditions = _conditions(bind, where)
    if where.projects is None:
        source = SOURCE.format(within=every(conditions))
    else:
        own = SOURCE.format(within=every(["i.project_id = p.id", *conditions]))
        among = bind.bind(where.projects, "text[]")
        source = BY_PROJECT.format(projects=among, source=own, limit=many)
    row = await snapshot.one(PAGE.format(source=source, limit=many), *bind)
    return EventPage(row["events"], row["total"], row["as_of"])


def _conditions(bind: Arguments, where: EventFilter) -> list[str]:
    conditions = []
    if where.channel_type is not None:
        conditions.append(f"i.channel_type = {bind.bind(where.channel_type, 'text')}")
    if where.provider_prefix:
        conditions += _prefixed(bind, where.provider_prefix)
    return conditions


def _prefixed(bind: Arguments, prefix: str) -> list[str]:
    """By code point all texts with a prefix stand together, from the prefix itself on."""
    conditions = [f"i.provider_event_id >= {bind.bind(prefix, 'text')}"]
    last = prefix.rstrip(GREATEST)
    if last:
        end = last[:-1] + _next(last[-1])
        conditions.append(f"i.provider_event_id < {bind.bind(end, 'text')}")
    return conditions


GREATEST: Final = "\U0010ffff"


def _next(char: str) -> str:
    # The code points between are halves of pairs, which no text has.
    return "\ue000" if char == "\ud7ff" else chr(ord(char) + 1)
