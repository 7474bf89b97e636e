"""Deciding on a run that waits for a human."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from api import documentation
from api.answers import MEDIA_TYPE
from api.auth import Bearer
from api.decisions import asking
from api.decisions.asking import KEY_PATTERN, DecisionRequest
from api.models.approvals import Decided
from api.parameters import ProjectId, Uuid, once
from api.problems import MEDIA_TYPE as PROBLEM_TYPE
from api.routing import PlannedRoute
from api.services import Serving, approver

router = APIRouter(
    prefix="/v1",
    tags=["approvals"],
    dependencies=[Depends(approver)],
    route_class=PlannedRoute,
)


class DecisionParameters(BaseModel):
    """Parameters of a decision."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    project_id: ProjectId | None = None
    """The run's project; of another one it is 404."""


# The body is read and checked by `asking`: it is bounded before it is parsed, and what is wrong
# with it is said in the words of every other parameter.
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {asking.MEDIA_TYPE: {"schema": DecisionRequest.model_json_schema()}},
    },
    "parameters": [
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
            "schema": {"type": "string", "pattern": KEY_PATTERN},
        },
    ],
}


@router.post(
    "/runs/{run_id}/decision",
    status_code=202,
    response_model=Decided,
    responses=documentation.problems(400, 401, 403, 404, 409, 410, 412, 413, 415, 422, 503),
    openapi_extra=BODY,
    dependencies=[Depends(once(DecisionParameters))],
)
async def decide(
    run_id: Uuid,
    request: Request,
    serving: Serving,
    who: Annotated[Bearer, Depends(approver)],
    parameters: Annotated[DecisionParameters, Query()],
) -> Response:
    """Approve or reject what a run waits for; of any number of decisions on a version, one wins."""
    ask = await asking.read(request, run_id, parameters.project_id)
    answer = await serving.decisions.decide(who, ask)
    kind = MEDIA_TYPE if answer.status == 202 else PROBLEM_TYPE
    return Response(answer.body, answer.status, {"Cache-Control": "no-store"}, media_type=kind)
