"""The run list, its counts, the detail of a run and its timeline."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import openapi
from api.dependencies import Reading, Titles
from api.detail_schemas import RunDetail, TimelinePage
from api.parameters import Uuid
from api.queries import detail, runs, timeline
from api.queries.detail import DetailParameters
from api.queries.run_filter import CountsParameters, RunParameters
from api.queries.timeline import TimelineParameters
from api.schemas import RunCounts, RunPage

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.get("", response_model=RunPage, responses=openapi.view())
async def list_runs(reader: Reading, parameters: Annotated[RunParameters, Query()]) -> Response:
    """List runs, newest first."""
    return await reader.answer(runs.page, parameters)


@router.get("/counts", response_model=RunCounts, responses=openapi.view())
async def count_runs(reader: Reading, parameters: Annotated[CountsParameters, Query()]) -> Response:
    """Count the runs that each combination of the filters finds."""
    return await reader.answer(runs.counts, parameters)


@router.get("/{run_id}", response_model=RunDetail, responses=openapi.view(404, with_language=True))
async def show_run(
    run_id: Uuid,
    reader: Reading,
    language: Titles,
    parameters: Annotated[DetailParameters, Query()],
) -> Response:
    """Show everything told of a run, each list to its first 100."""
    return await reader.answer(detail.detail, parameters, run_id, language, language=language)


@router.get(
    "/{run_id}/timeline",
    response_model=TimelinePage,
    responses=openapi.view(404, with_language=True),
)
async def show_timeline(
    run_id: Uuid,
    reader: Reading,
    language: Titles,
    parameters: Annotated[TimelineParameters, Query()],
) -> Response:
    """Show what happened in a run, oldest first."""
    return await reader.answer(timeline.page, parameters, run_id, language, language=language)
