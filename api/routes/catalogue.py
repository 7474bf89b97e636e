"""Projects, contract revisions, and inbound channel events."""

from fastapi import APIRouter, Response

from api import openapi
from api.dependencies import Reading
from api.parameters import Parameters
from api.queries import catalogue
from api.queries.catalogue import EventParameters, RevisionParameters
from api.schemas import ChannelEvents, Projects, RevisionPage

router = APIRouter(prefix="/v1")


@router.get("/projects", tags=["catalogue"], response_model=Projects, **openapi.view(Parameters))
async def list_projects(reader: Reading) -> Response:
    """List the bearer's projects."""
    return await reader.answer(catalogue.projects, Parameters)


@router.get(
    "/contracts",
    tags=["catalogue"],
    response_model=RevisionPage,
    **openapi.view(RevisionParameters),
)
async def list_contracts(reader: Reading) -> Response:
    """List contract revisions, newest first."""
    return await reader.answer(catalogue.revisions, RevisionParameters)


@router.get(
    "/channel-events",
    tags=["channel events"],
    response_model=ChannelEvents,
    **openapi.view(EventParameters),
)
async def list_channel_events(reader: Reading) -> Response:
    """List inbound events, newest first."""
    return await reader.answer(catalogue.channel_events, EventParameters)
