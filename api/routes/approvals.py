"""The approval queue, and what became of a decision."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Response

from api import documentation
from api.answers import Json
from api.models.approvals import Approvals, Command
from api.parameters import Boolean, Parameters, ProjectId, RemediationStatus, Uuid, once
from api.problems import NotFound
from api.queries import approvals
from api.queries.approvals import QueueFilter
from api.routing import PlannedRoute
from api.services import Reading, viewer

router = APIRouter(
    route_class=PlannedRoute,
    prefix="/v1/approvals",
    tags=["approvals"],
    dependencies=[Depends(viewer)],
)


class QueueParameters(Parameters):
    """Parameters of the approval queue."""

    project_id: list[ProjectId] | None = None
    """Only these projects."""
    run_id: Uuid | None = None
    """Only this run."""
    remediation_status: list[RemediationStatus] | None = None
    """Only runs whose summary has one of these statuses."""
    include_decided: Boolean = False
    """Also runs that have been decided on at their present version."""


@router.get(
    "",
    response_model=Approvals,
    responses=documentation.view(),
    dependencies=[Depends(once(QueueParameters))],
)
async def list_approvals(
    reader: Reading,
    parameters: Annotated[QueueParameters, Query()],
) -> Response:
    """List the runs that wait for a human, oldest first."""
    where = QueueFilter(
        projects=reader.bearer.among(parameters.project_id),
        run_id=parameters.run_id,
        statuses=None
        if parameters.remediation_status is None
        else [*parameters.remediation_status],
        include_decided=parameters.include_decided,
    )
    queue = await reader.read(parameters, lambda snapshot: approvals.queue(snapshot, where))
    waiting = Json(queue.approvals)
    body = {"approvals": waiting, "total": queue.total, "items": waiting}
    return reader.answer(body, queue.as_of)


@router.get(
    "/commands/{command_id}",
    response_model=Command,
    responses=documentation.view(404),
    dependencies=[Depends(once(Parameters))],
)
async def show_command(
    command_id: Uuid,
    reader: Reading,
    parameters: Annotated[Parameters, Query()],
) -> Response:
    """Show what became of a decision."""
    found = await reader.read(parameters, lambda snapshot: approvals.command(snapshot, command_id))
    if found is None:
        raise NotFound("command")
    command, as_of = found
    return reader.answer(orjson.loads(command), as_of)
