"""Projects, contract revisions, and inbound channel events."""

from typing import Annotated, Final, NamedTuple

from pydantic import AwareDatetime, Field, TypeAdapter

from api.cursors import Cursors
from api.parameters import (
    DIGITS,
    LARGEST,
    MAX_PAGE_SIZE,
    CursorText,
    Parameters,
    ProjectId,
    Text,
)
from api.reading import Answer, Arguments, Snapshot, every
from api.responses import Json
from contracts.keys import index_key

PROJECTS: Final = """
    -- projects: all that the bearer may see
    SELECT '[' || coalesce(string_agg(p.detail::text, ',' ORDER BY p.project_id), '') || ']'
        AS tenants, count(*) AS total
    FROM project p
"""


async def projects(snapshot: Snapshot, _: Parameters) -> Answer:
    """Return the projects by their id, and how many they are."""
    row = await snapshot.one(PROJECTS)
    return {"tenants": Json(row["tenants"]), "total": row["total"]}, row["as_of"]


class RevisionKey(NamedTuple):
    """Where a revision stands in the list."""

    created_at: AwareDatetime
    revision_id: Text


REVISION_CURSORS: Final = Cursors("contracts", TypeAdapter(RevisionKey))


class RevisionParameters(Parameters):
    """Parameters of the contract list."""

    project_id: list[ProjectId] | None = None
    """Only these projects."""
    lifecycle_status: Text | None = None
    """Only revisions of this status."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), DIGITS] = 200
    """Revisions on a page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before."""


REVISIONS: Final = """
    -- contracts: a page of contract revisions
    WITH key AS MATERIALIZED (
        {keys} ORDER BY created_at DESC, revision_id DESC LIMIT {limit} + 1
    ),
    shown AS (SELECT * FROM key ORDER BY created_at DESC, revision_id DESC LIMIT {limit})
    SELECT
        (SELECT '[' || coalesce(string_agg(r.detail::text, ','
            ORDER BY shown.created_at DESC, shown.revision_id DESC), '') || ']'
        FROM shown JOIN contract_revision r ON r.revision_id = shown.revision_id) AS contracts,
        (SELECT coalesce(sum(c.total), 0)::bigint FROM contract_counter c WHERE {counted}) AS total,
        last.created_at, last.revision_id
    FROM (SELECT count(*) > {limit} AS is_more FROM key) AS page
    LEFT JOIN (SELECT * FROM shown ORDER BY created_at, revision_id LIMIT 1) AS last
        ON page.is_more
"""

REVISION_KEYS: Final = """
    SELECT r.created_at, r.revision_id FROM contract_revision r WHERE {within}
"""

# Projects are few next to revisions: each gives as many rows as the page has, then they merge.
REVISION_KEYS_BY_PROJECT: Final = """
    SELECT k.created_at, k.revision_id
    FROM unnest({projects}) AS p (id) CROSS JOIN LATERAL (
        SELECT r.created_at, r.revision_id FROM contract_revision r
        WHERE r.project_id = p.id AND {within}
        ORDER BY r.created_at DESC, r.revision_id DESC LIMIT {limit} + 1
    ) AS k
"""


async def revisions(snapshot: Snapshot, parameters: RevisionParameters) -> Answer:
    """Return a page of revisions, newest first, and how many the filters find in all."""
    bound = parameters.bound()
    bind = Arguments()
    limit = bind.bind(parameters.limit, "bigint")
    within, counted = [], []
    if parameters.lifecycle_status is not None:
        status = bind.bind(index_key(parameters.lifecycle_status), "text")
        within.append(f"r.lifecycle_status = {status}")
        counted.append(f"c.lifecycle_status = {status}")
    if parameters.cursor is not None:
        after = REVISION_CURSORS.key(parameters.cursor, bound)
        created_at = bind.bind(after.created_at, "timestamptz")
        revision_id = bind.bind(after.revision_id, "text")
        within.append(f"(r.created_at, r.revision_id) < ({created_at}, {revision_id})")
    among = snapshot.bearer.among(parameters.project_id)
    if among is None:
        keys = REVISION_KEYS.format(within=every(within))
    else:
        mine = bind.bind(among, "text[]")
        keys = REVISION_KEYS_BY_PROJECT.format(projects=mine, within=every(within), limit=limit)
        counted.append(f"c.project_id = ANY ({mine})")
    statement = REVISIONS.format(keys=keys, limit=limit, counted=every(counted))
    row = await snapshot.one(statement, *bind)
    last = RevisionKey(row["created_at"], row["revision_id"]) if row["revision_id"] else None
    body = {
        "contracts": Json(row["contracts"]),
        "total": row["total"],
        "next_cursor": last and REVISION_CURSORS.after(last, bound),
    }
    return body, row["as_of"]


MAX_EVENTS: Final = 100


class EventParameters(Parameters):
    """Parameters of the channel events."""

    project_id: list[ProjectId] | None = None
    """Only these projects."""
    channel_type: Text | None = None
    """Only events of this kind of channel."""
    provider_prefix: Text | None = None
    """Only events whose `provider_event_id` starts with this, taken literally."""
    limit: Annotated[int, Field(ge=1, le=LARGEST), DIGITS] = 50
    """How many; a larger number than 100 is cut to it."""


# What the detail of a run shows of an event is not quite what this list shows.
EVENTS: Final = """
    -- channel events: the newest
    SELECT '[' || coalesce(string_agg(row_to_json(line)::text, ','
        ORDER BY i.received_at DESC, i.event_uuid DESC), '') || ']' AS events, count(*) AS total
    FROM ({source} ORDER BY received_at DESC, event_uuid DESC LIMIT {limit}) AS i
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

EVENT_ROWS: Final = """
    SELECT i.received_at, i.event_uuid, i.project_id, i.detail FROM inbound i WHERE {within}
"""

EVENT_ROWS_BY_PROJECT: Final = """
    SELECT newest.* FROM unnest({projects}) AS p (id) CROSS JOIN LATERAL (
        SELECT i.received_at, i.event_uuid, i.project_id, i.detail FROM inbound i
        WHERE i.project_id = p.id AND {within}
        ORDER BY i.received_at DESC, i.event_uuid DESC LIMIT {limit}
    ) AS newest
"""


async def channel_events(snapshot: Snapshot, parameters: EventParameters) -> Answer:
    """Return the newest events that the filters find, and how many are returned."""
    limit = min(parameters.limit, MAX_EVENTS)
    bind = Arguments()
    many = bind.bind(limit, "bigint")
    within = []
    if parameters.channel_type is not None:
        channel = bind.bind(index_key(parameters.channel_type), "text")
        within.append(f"i.channel_type = {channel}")
    if parameters.provider_prefix:
        within += _prefixed(bind, parameters.provider_prefix)
    if within:
        # a channel or a prefix may be of one event or of all
        await snapshot.plan_by_values()
    among = snapshot.bearer.among(parameters.project_id)
    if among is None:
        source = EVENT_ROWS.format(within=every(within))
    else:
        projects = bind.bind(among, "text[]")
        source = EVENT_ROWS_BY_PROJECT.format(projects=projects, within=every(within), limit=many)
    row = await snapshot.one(EVENTS.format(source=source, limit=many), *bind)
    body = {"events": Json(row["events"]), "total": row["total"], "limit": limit}
    return body, row["as_of"]


GREATEST: Final = "\U0010ffff"


def _prefixed(bind: Arguments, prefix: str) -> list[str]:
    """By code point all texts with a prefix stand together, from the prefix itself on."""
    conditions = [f"i.provider_event_id >= {bind.bind(prefix, 'text')}"]
    last = prefix.rstrip(GREATEST)
    if last:
        # The code points between are halves of pairs, which no text has.
        following = "\ue000" if last[-1] == "\ud7ff" else chr(ord(last[-1]) + 1)
        conditions.append(f"i.provider_event_id < {bind.bind(last[:-1] + following, 'text')}")
    return conditions
