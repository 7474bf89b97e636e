"""The run list, its counts, the detail of a run and its timeline."""

from fastapi import APIRouter, Response

from api import openapi
from api.dependencies import Reading
from api.detail_schemas import RunDetail, TimelinePage
from api.parameters import Uuid
from api.queries import detail, runs, timeline
from api.queries.detail import DetailParameters
from api.queries.run_filter import CountsParameters, RunParameters
from api.queries.timeline import TimelineParameters
from api.schemas import RunCounts, RunPage

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.get("", response_model=RunPage, **openapi.view(RunParameters))
async def list_runs(reader: Reading) -> Response:
    """List runs, newest first."""
    return await reader.answer(runs.page, RunParameters)


@router.get("/counts", response_model=RunCounts, **openapi.view(CountsParameters))
async def count_runs(reader: Reading) -> Response:
    """Count the runs that each combination of the filters finds."""
    return await reader.answer(runs.counts, CountsParameters)


@router.get(
    "/{run_id}", response_model=RunDetail, **openapi.view(DetailParameters, 404, with_language=True)
)
async def show_run(run_id: Uuid, reader: Reading) -> Response:
    """Show everything told of a run, each list to its first 100."""
    return await reader.answer(
        detail.detail, DetailParameters, run_id, reader.language, language=reader.language
    )


@router.get(
    "/{run_id}/timeline",
    response_model=TimelinePage,
    **openapi.view(TimelineParameters, 404, with_language=True),
)
async def show_timeline(run_id: Uuid, reader: Reading) -> Response:
    """Show what happened in a run, oldest first."""
    return await reader.answer(
        timeline.page, TimelineParameters, run_id, reader.language, language=reader.language
    )
