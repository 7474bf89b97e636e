"""Inbound channel events."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from api import documentation
from api.answers import Json
from api.models.channel_events import ChannelEvents
from api.parameters import DIGITS, LARGEST, Parameters, ProjectId, Text, once
from api.queries import channel_events
from api.queries.channel_events import EventFilter
from api.routing import PlannedRoute
from api.services import Reading, viewer
from contracts.keys import index_key

router = APIRouter(
    prefix="/v1",
    tags=["channel events"],
    dependencies=[Depends(viewer)],
    route_class=PlannedRoute,
)

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


@router.get(
    "/channel-events",
    response_model=ChannelEvents,
    responses=documentation.view(),
    dependencies=[Depends(once(EventParameters))],
)
async def list_channel_events(
    reader: Reading,
    parameters: Annotated[EventParameters, Query()],
) -> Response:
    """List inbound events, newest first."""
    limit = min(parameters.limit, MAX_EVENTS)
    channel = parameters.channel_type
    where = EventFilter(
        projects=reader.bearer.among(parameters.project_id),
        channel_type=None if channel is None else index_key(channel),
        provider_prefix=parameters.provider_prefix,
    )
    page = await reader.read(
        parameters, lambda snapshot: channel_events.newest(snapshot, where, limit)
    )
    body = {"events": Json(page.events), "total": page.total, "limit": limit}
    return reader.answer(body, page.as_of)
