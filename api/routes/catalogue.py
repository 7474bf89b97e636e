"""Projects, contract revisions, and inbound channel events."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import openapi
from api.dependencies import Reading
from api.parameters import Parameters
from api.queries import catalogue
from api.queries.catalogue import EventParameters, RevisionParameters
from api.schemas import ChannelEvents, Projects, RevisionPage

router = APIRouter(prefix="/v1")


@router.get("/projects", tags=["catalogue"], response_model=Projects, responses=openapi.view())
async def list_projects(reader: Reading, parameters: Annotated[Parameters, Query()]) -> Response:
    """List the bearer's projects."""
    return await reader.answer(catalogue.projects, parameters)


@router.get("/contracts", tags=["catalogue"], response_model=RevisionPage, responses=openapi.view())
async def list_contracts(
    reader: Reading, parameters: Annotated[RevisionParameters, Query()]
) -> Response:
    """List contract revisions, newest first."""
    return await reader.answer(catalogue.revisions, parameters)


@router.get(
    "/channel-events",
    tags=["channel events"],
    response_model=ChannelEvents,
    responses=openapi.view(),
)
async def list_channel_events(
    reader: Reading, parameters: Annotated[EventParameters, Query()]
) -> Response:
    """List inbound events, newest first."""
    return await reader.answer(catalogue.channel_events, parameters)
