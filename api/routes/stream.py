"""Live updates of runs."""

import asyncio
import time
from contextlib import ExitStack
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response

from api import changes, openapi
from api.changes import Changes
from api.dependencies import Reading, Serving
from api.parameters import LiveParameters, ProjectId, read
from api.reading import Snapshot
from api.stream import EventStream, frames

router = APIRouter(prefix="/v1", tags=["stream"])

_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Server-sent events. `run`: a run's row has changed; its data is `{run_id,"
            " project_id, state, remediation_status, as_of}`. `reset`: more has changed than can"
            " be told, read the views again. The `id` of an event is a place to go on from."
        ),
        "content": {EventStream.media_type: {"schema": {"type": "string"}}},
    },
    **openapi.problems(401, 403, 422, 503),
}


class StreamParameters(LiveParameters):
    """Parameters of the stream; the log of changes is not kept by generation."""

    project_id: ProjectId | None = None
    """Only runs of this project."""


@router.get(
    "/stream",
    response_class=Response,
    responses=_EVENTS,
    openapi_extra={"parameters": openapi.parameters(StreamParameters)},
)
async def follow(
    reader: Reading,
    serving: Serving,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Follow the runs whose row changes; with `Last-Event-ID`, from there on."""
    parameters = read(StreamParameters, reader.request)
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
        # read after joining: what changes meanwhile is sent twice rather than not at all
        missed = await serving.views.read(reader.bearer, parameters, opening)
        until = asyncio.get_running_loop().time() + reader.bearer.expires_at - time.time()
        return EventStream(frames(mine, missed, until), resources.pop_all())
