"""The timeline of a run, page by page."""

from collections.abc import Collection
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, TypeAdapter

from api import documentation
from api.answers import Json
from api.cursors import Cursors
from api.models.timeline import TimelinePage
from api.parameters import DIGITS, MAX_PAGE_SIZE, CursorText, Parameters, ProjectId, Uuid, once
from api.problems import NotFound
from api.queries import timeline
from api.queries.entries import EntryKey, Kind, Wanted
from api.routing import PlannedRoute
from api.services import Reading, Titles, viewer

router = APIRouter(
    prefix="/v1",
    tags=["runs"],
    dependencies=[Depends(viewer)],
    route_class=PlannedRoute,
)

TIMELINE_CURSORS: Final = Cursors("timeline", TypeAdapter(EntryKey))


def timeline_filter(run_id: str, kinds: Collection[Kind]) -> dict[str, Any]:
    """Return what a cursor of a timeline is bound to."""
    return {"run_id": run_id, "kind": sorted(set(kinds))}


class TimelineParameters(Parameters):
    """Parameters of the timeline."""

    project_id: ProjectId | None = None
    """The run's project; of another one it is 404."""
    kind: list[Kind] | None = None
    """Only entries of these kinds."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), DIGITS] = 100
    """Entries on a page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before, or `timeline_next_cursor` of the detail."""


@router.get(
    "/runs/{run_id}/timeline",
    response_model=TimelinePage,
    responses=documentation.view(404, with_language=True),
    dependencies=[Depends(once(TimelineParameters))],
)
async def show_timeline(
    run_id: Uuid,
    reader: Reading,
    language: Titles,
    parameters: Annotated[TimelineParameters, Query()],
) -> Response:
    """Show what happened in a run, oldest first."""
    where = timeline_filter(run_id, parameters.kind or ())
    after = TIMELINE_CURSORS.key(parameters.cursor, where) if parameters.cursor else None
    wanted = Wanted(where["kind"], after, parameters.limit, language)
    page = await reader.read(
        parameters,
        lambda snapshot: timeline.page(snapshot, run_id, parameters.project_id, wanted),
    )
    if page is None:
        raise NotFound("run")
    body = {
        "timeline": Json(page.timeline),
        "next_cursor": page.last and TIMELINE_CURSORS.after(page.last, where),
    }
    return reader.answer(body, page.as_of, language)
