"""The run list, its counts, and the detail of a run."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, TypeAdapter

from api import documentation
from api.answers import Json
from api.cursors import Cursors
from api.models.detail import RunDetail
from api.models.runs import RunCounts, RunPage
from api.parameters import (
    DIGITS,
    CursorText,
    IncidentId,
    Moment,
    Parameters,
    ProjectId,
    RemediationStatus,
    State,
    Uuid,
    once,
)
from api.problems import BadParameter, NotFound
from api.queries import detail, runs
from api.queries.run_filter import RunFilter
from api.queries.run_keys import RunKey, Slice
from api.routes.timeline import TIMELINE_CURSORS, timeline_filter
from api.routing import PlannedRoute
from api.services import Reading, Titles, viewer
from contracts.incidents import incident_key

router = APIRouter(
    prefix="/v1",
    tags=["runs"],
    dependencies=[Depends(viewer)],
    route_class=PlannedRoute,
)

RUN_CURSORS: Final = Cursors("runs", TypeAdapter(RunKey))


class CountsParameters(Parameters):
    """Parameters of the counts."""

    project_id: list[ProjectId] | None = None
    """Only these projects."""


class RunListParameters(CountsParameters):
    """Parameters of the run list."""

    state: list[State] | None = None
    """Only runs in one of these states."""
    remediation_status: list[RemediationStatus] | None = None
    """Only runs whose summary has one of these statuses."""
    incident_id: IncidentId | None = None
    """Only runs of this incident."""
    created_after: Moment | None = None
    """Only runs created at this time or later."""
    created_before: Moment | None = None
    """Only runs created before this time."""
    page: Annotated[int, Field(ge=1, le=1_000_000_000), DIGITS] = 1
    """Number of the page."""
    per_page: Annotated[int, Field(ge=1, le=200), DIGITS] = 50
    """Runs on a page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before, instead of `page`."""

    def filter(self) -> dict[str, Any]:
        """Return what a cursor is bound to: the filters in one way of writing them."""
        asked = self.model_dump(
            mode="json",
            exclude={"wait_for", "wait_timeout", "generation", "page", "per_page", "cursor"},
            exclude_none=True,
        )
        return {
            name: sorted(set(value)) if isinstance(value, list) else value
            for name, value in asked.items()
        }

    def slice(self) -> Slice:
        """Return which part of the list is asked for. Raises `BadParameter`."""
        if self.cursor is None:
            return Slice(None, (self.page - 1) * self.per_page, self.per_page)
        if "page" in self.model_fields_set:
            raise BadParameter({"page": "a cursor says by itself where the page starts"})
        return Slice(RUN_CURSORS.key(self.cursor, self.filter()), 0, self.per_page)


class DetailParameters(Parameters):
    """Parameters of the detail."""

    project_id: ProjectId | None = None
    """The run's project; of another one it is 404."""


@router.get(
    "/runs",
    response_model=RunPage,
    responses=documentation.view(),
    dependencies=[Depends(once(RunListParameters))],
)
async def list_runs(
    reader: Reading,
    parameters: Annotated[RunListParameters, Query()],
) -> Response:
    """List runs, newest first."""
    part, where = parameters.slice(), parameters.filter()
    incident = parameters.incident_id
    chosen = RunFilter(
        projects=reader.bearer.among(parameters.project_id),
        states=where.get("state"),
        statuses=where.get("remediation_status"),
        incident=None if incident is None else incident_key(incident),
        after=parameters.created_after,
        before=parameters.created_before,
    )
    page = await reader.read(parameters, lambda snapshot: runs.page(snapshot, chosen, part))
    body = {
        "runs": Json(page.runs),
        "total": page.total,
        "page": None if parameters.cursor else parameters.page,
        "per_page": parameters.per_page,
        "next_cursor": page.last and RUN_CURSORS.after(page.last, where),
    }
    return reader.answer(body, page.as_of)


@router.get(
    "/runs/counts",
    response_model=RunCounts,
    responses=documentation.view(),
    dependencies=[Depends(once(CountsParameters))],
)
async def count_runs(
    reader: Reading,
    parameters: Annotated[CountsParameters, Query()],
) -> Response:
    """Count the runs that each combination of the filters finds."""
    projects = reader.bearer.among(parameters.project_id)
    counts, as_of = await reader.read(parameters, lambda snapshot: runs.counts(snapshot, projects))
    return reader.answer({"counts": Json(counts)}, as_of)


@router.get(
    "/runs/{run_id}",
    response_model=RunDetail,
    responses=documentation.view(404, with_language=True),
    dependencies=[Depends(once(DetailParameters))],
)
async def show_run(
    run_id: Uuid,
    reader: Reading,
    language: Titles,
    parameters: Annotated[DetailParameters, Query()],
) -> Response:
    """Show everything told of a run, each list to its first 100."""
    found = await reader.read(
        parameters,
        lambda snapshot: detail.detail(snapshot, run_id, parameters.project_id, language),
    )
    if found is None:
        raise NotFound("run")
    body: dict[str, Any] = {name: Json(text) for name, text in found.parts.items()}
    cursor = found.last and TIMELINE_CURSORS.after(found.last, timeline_filter(run_id, ()))
    return reader.answer(body | {"timeline_next_cursor": cursor}, found.as_of, language)
