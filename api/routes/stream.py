"""Live updates of runs."""

import asyncio
import time
from contextlib import ExitStack
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Response

from api import documentation
from api.parameters import LiveParameters, ProjectId, once
from api.reading import Snapshot
from api.services import Reading, Serving, viewer
from api.stream import changes
from api.stream.changes import Changes
from api.stream.response import EventStream
from api.stream.subscription import frames

router = APIRouter(prefix="/v1", tags=["stream"], dependencies=[Depends(viewer)])

_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Server-sent events. `run`: a run's row has changed; its data is `{run_id,"
            " project_id, state, remediation_status, as_of}`. `reset`: more has changed than can"
            " be told, read the views again. The `id` of an event is a place to go on from."
        ),
        "content": {EventStream.media_type: {"schema": {"type": "string"}}},
    },
    **documentation.problems(401, 403, 422, 503),
}

Place = Annotated[str | None, Header(alias="Last-Event-ID")]


class StreamParameters(LiveParameters):
    """Parameters of the stream; of one generation alone, what comes live could not be told."""

    project_id: ProjectId | None = None
    """Only runs of this project."""


@router.get(
    "/stream",
    response_class=Response,
    responses=_EVENTS,
    dependencies=[Depends(once(StreamParameters))],
)
async def follow(
    reader: Reading,
    serving: Serving,
    parameters: Annotated[StreamParameters, Query()],
    last_event_id: Place = None,
) -> Response:
    """Follow the runs whose row changes; with `Last-Event-ID`, from there on."""
    asked = None if parameters.project_id is None else [parameters.project_id]
    projects = reader.bearer.among(asked)

    async def opening(snapshot: Snapshot) -> Changes:
        if last_event_id is None:
            here = await changes.here(snapshot)
            return Changes(here, here)
        return await changes.since(snapshot, last_event_id, projects)

    with ExitStack() as resources:
        mine = resources.enter_context(serving.feed.subscription(projects))
        await serving.feed.joined(mine)
        # read after joining: what comes in between is told twice rather than not at all
        missed = await reader.read(parameters, opening)
        until = asyncio.get_running_loop().time() + reader.bearer.expires_at - time.time()
        told = frames(mine, missed, until)
        return EventStream(told, resources.pop_all())
