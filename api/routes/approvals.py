"""The approval queue, deciding on a run that waits, and what became of a decision."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from api import openapi
from api.decisions import request as asking
from api.dependencies import Approver, Reading, Serving
from api.parameters import Parameters, ProjectId, StrictParameters, Uuid, read
from api.problems import MEDIA_TYPE as PROBLEM_TYPE
from api.queries import approvals
from api.queries.approvals import QueueParameters
from api.responses import MEDIA_TYPE
from api.schemas import Approvals, Command, Decided

router = APIRouter(prefix="/v1", tags=["approvals"])


@router.get("/approvals", response_model=Approvals, **openapi.view(QueueParameters))
async def list_approvals(reader: Reading) -> Response:
    """List the runs that wait for a human, oldest first."""
    return await reader.answer(approvals.queue, QueueParameters)


@router.get(
    "/approvals/commands/{command_id}",
    response_model=Command,
    **openapi.view(Parameters, 404),
)
async def show_command(command_id: Uuid, reader: Reading) -> Response:
    """Show what became of a decision."""
    return await reader.answer(approvals.command, Parameters, command_id)


class DecisionParameters(StrictParameters):
    """Parameters of a decision."""

    project_id: ProjectId | None = None
    """The run's project; of another one it is 404."""


# The body is read and checked by `api.decisions.request`: it is bounded before it is parsed, and
# what is wrong with it is said in the words of every other parameter.
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {asking.MEDIA_TYPE: {"schema": asking.DecisionRequest.model_json_schema()}},
    },
    "parameters": [
        *openapi.parameters(DecisionParameters),
        {
            "name": "If-Match",
            "in": "header",
            "description": "The run's version that was looked at, in quotes; another is 412.",
            "schema": {"type": "string", "pattern": r"\S", "examples": ['"7"']},
        },
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same request with the same key is answered as at first.",
            "schema": {"type": "string", "pattern": asking.KEY_PATTERN},
        },
    ],
}


@router.post(
    "/runs/{run_id}/decision",
    status_code=202,
    response_model=Decided,
    responses=openapi.problems(400, 401, 403, 404, 409, 410, 412, 413, 415, 422, 503),
    openapi_extra=BODY,
)
async def decide(run_id: Uuid, request: Request, serving: Serving, who: Approver) -> Response:
    """Approve or reject what a run waits for; of any number of decisions on a version, one wins."""
    ask = await asking.read(request, run_id, read(DecisionParameters, request).project_id)
    answer = await serving.decisions.decide(who, ask)
    kind = MEDIA_TYPE if answer.status == 202 else PROBLEM_TYPE
    return Response(answer.body, answer.status, {"Cache-Control": "no-store"}, media_type=kind)
