"""For operators: the projection's progress, and the dead letters."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Response

from api import openapi
from api.dependencies import Operating, Operator, Serving, operator
from api.operations_schemas import (
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterRequested,
    ProjectionProgress,
)
from api.parameters import DIGITS, LARGEST, Parameters, without_parameters
from api.queries import operations
from api.queries.operations import DeadLetterParameters, DeadLetterStatus
from api.responses import json_response

router = APIRouter(prefix="/v1/ops", tags=["operations"])

Number = Annotated[int, Path(alias="id", ge=0, le=LARGEST), DIGITS]
"""A dead letter's id."""


@router.get("/projection", response_model=ProjectionProgress, **openapi.view(Parameters))
async def show_projection(reader: Operating) -> Response:
    """Show where the projection of every partition stands."""
    return await reader.answer(operations.projection, Parameters)


@router.get("/dead-letters", response_model=DeadLetterPage, **openapi.view(DeadLetterParameters))
async def list_dead_letters(reader: Operating) -> Response:
    """List records that could not be used, newest first."""
    return await reader.answer(operations.dead_letters, DeadLetterParameters)


@router.get("/dead-letters/{id}", response_model=DeadLetterDetail, **openapi.view(Parameters, 404))
async def show_dead_letter(number: Number, reader: Operating) -> Response:
    """Show a record that could not be used, with its headers and bytes."""
    return await reader.answer(operations.dead_letter, Parameters, number)


REQUESTED: Final = {
    202: {
        "model": DeadLetterRequested,
        "description": "No worker has come to it yet; one will.",
    },
    **openapi.problems(401, 403, 404, 422, 503),
    409: openapi.problems(409)[409]
    | {"description": "It has been retried or discarded, or that was asked for, already."},
}


@router.post(
    "/dead-letters/{id}/retry",
    response_model=DeadLetterRequested,
    responses=REQUESTED,
    dependencies=[Depends(operator), Depends(without_parameters)],
)
async def retry_dead_letter(number: Number, serving: Serving, who: Operator) -> Response:
    """Have a worker decode the record with today's code and apply the event it makes."""
    done = await serving.dead_letters.carried_out(who, number, "retry")
    return _requested(number, "retried", done)


@router.post(
    "/dead-letters/{id}/discard",
    response_model=DeadLetterRequested,
    responses=REQUESTED,
    dependencies=[Depends(operator), Depends(without_parameters)],
)
async def discard_dead_letter(number: Number, serving: Serving, who: Operator) -> Response:
    """Have a dead letter set aside; it is kept."""
    done = await serving.dead_letters.carried_out(who, number, "discard")
    return _requested(number, "discarded", done)


def _requested(number: int, status: DeadLetterStatus, done: bool) -> Response:
    body = {"id": number, "status": status if done else "parked"}
    return json_response(body, 200 if done else 202)
