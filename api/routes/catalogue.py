"""Projects and contract revisions."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, TypeAdapter

from api import documentation
from api.answers import Json
from api.cursors import Cursors
from api.models.catalogue import Projects, RevisionPage
from api.parameters import DIGITS, MAX_PAGE_SIZE, CursorText, Parameters, ProjectId, Text, once
from api.queries import catalogue
from api.queries.catalogue import RevisionFilter, RevisionKey
from api.routing import PlannedRoute
from api.services import Reading, viewer
from contracts.keys import index_key

router = APIRouter(
    prefix="/v1",
    tags=["catalogue"],
    dependencies=[Depends(viewer)],
    route_class=PlannedRoute,
)

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

    def filter(self) -> dict[str, Any]:
        """Return what a cursor is bound to."""
        projects = self.project_id and sorted(set(self.project_id))
        return {"project_id": projects, "lifecycle_status": self.lifecycle_status}


@router.get(
    "/projects",
    response_model=Projects,
    responses=documentation.view(),
    dependencies=[Depends(once(Parameters))],
)
async def list_projects(reader: Reading, parameters: Annotated[Parameters, Query()]) -> Response:
    """List the bearer's projects."""
    tenants, total, as_of = await reader.read(parameters, catalogue.projects)
    return reader.answer({"tenants": Json(tenants), "total": total}, as_of)


@router.get(
    "/contracts",
    response_model=RevisionPage,
    responses=documentation.view(),
    dependencies=[Depends(once(RevisionParameters))],
)
async def list_contracts(
    reader: Reading,
    parameters: Annotated[RevisionParameters, Query()],
) -> Response:
    """List contract revisions, newest first."""
    where, status = parameters.filter(), parameters.lifecycle_status
    after = REVISION_CURSORS.key(parameters.cursor, where) if parameters.cursor else None
    chosen = RevisionFilter(
        projects=reader.bearer.among(parameters.project_id),
        status=None if status is None else index_key(status),
    )
    page = await reader.read(
        parameters,
        lambda snapshot: catalogue.revisions(snapshot, chosen, after, parameters.limit),
    )
    body = {
        "contracts": Json(page.contracts),
        "total": page.total,
        "next_cursor": page.last and REVISION_CURSORS.after(page.last, where),
    }
    return reader.answer(body, page.as_of)
