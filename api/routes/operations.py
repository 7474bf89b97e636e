"""What an operator looks at: the projection's progress, and the dead letters."""

import base64
from typing import Annotated, Any, Final

import asyncpg
import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field, TypeAdapter

from api import answers, documentation
from api.answers import Json
from api.auth import Bearer
from api.cursors import Cursors
from api.models.operations import (
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterRequested,
    DeadLetterStatus,
    ProjectionProgress,
)
from api.parameters import (
    DIGITS,
    LARGEST,
    MAX_PAGE_SIZE,
    CursorText,
    Parameters,
    Text,
    once,
    without_parameters,
)
from api.problems import NotFound
from api.queries import operations
from api.queries.operations import DeadLetterFilter
from api.routing import PlannedRoute
from api.services import Operating, Serving, operator
from contracts.decoding import Reason
from contracts.fields import INT64_MAX

router = APIRouter(
    route_class=PlannedRoute,
    prefix="/v1/ops",
    tags=["operations"],
    dependencies=[Depends(operator)],
)

Number = Annotated[int, Path(alias="id", ge=0, le=LARGEST), DIGITS]
"""A dead letter's id."""

DEAD_LETTER_CURSORS: Final[Cursors[int]] = Cursors(
    "dead-letters", TypeAdapter(Annotated[int, Field(ge=0, le=INT64_MAX)])
)


class DeadLetterParameters(Parameters):
    """Parameters of the dead letters."""

    reason: Reason | None = None
    """Only those parked for this reason."""
    topic: Text | None = None
    """Only those of this topic, by its full name."""
    status: DeadLetterStatus | None = None
    """Only those with which this was done."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), DIGITS] = 100
    """Dead letters on a page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before."""


@router.get(
    "/projection",
    response_model=ProjectionProgress,
    responses=documentation.view(),
    dependencies=[Depends(once(Parameters))],
)
async def show_projection(
    reader: Operating, parameters: Annotated[Parameters, Query()]
) -> Response:
    """Show where the projection of every partition stands."""
    found = await reader.read(parameters, operations.projection)
    body = {
        "generation": found.generation,
        "partitions": Json(found.partitions),
        "lag": found.lag,
        "rebuilds": Json(found.rebuilds),
    }
    return reader.answer(body, found.as_of)


@router.get(
    "/dead-letters",
    response_model=DeadLetterPage,
    responses=documentation.view(),
    dependencies=[Depends(once(DeadLetterParameters))],
)
async def list_dead_letters(
    reader: Operating,
    parameters: Annotated[DeadLetterParameters, Query()],
) -> Response:
    """List records that could not be used, newest first."""
    where = DeadLetterFilter(parameters.reason, parameters.topic, parameters.status)
    bound = {"reason": where.reason, "topic": where.topic, "status": where.state}
    after = DEAD_LETTER_CURSORS.key(parameters.cursor, bound) if parameters.cursor else None
    page = await reader.read(
        parameters,
        lambda snapshot: operations.dead_letters(snapshot, where, after, parameters.limit),
    )
    shown = page.rows[: parameters.limit]
    is_more = len(page.rows) > len(shown)
    body = {
        "dead_letters": [_listed(row) for row in shown],
        "total": page.total,
        "next_cursor": DEAD_LETTER_CURSORS.after(shown[-1]["id"], bound) if is_more else None,
    }
    return reader.answer(body, page.as_of)


@router.get(
    "/dead-letters/{id}",
    response_model=DeadLetterDetail,
    responses=documentation.view(404),
    dependencies=[Depends(once(Parameters))],
)
async def show_dead_letter(
    number: Number,
    reader: Operating,
    parameters: Annotated[Parameters, Query()],
) -> Response:
    """Show a record that could not be used, with its headers and bytes."""
    row = await reader.read(parameters, lambda snapshot: operations.dead_letter(snapshot, number))
    if row is None:
        raise NotFound("dead_letter")
    body = _listed(row) | {
        "headers": orjson.loads(row["headers"]),
        "key_base64": None if row["key"] is None else _base64(row["key"]),
        "value_base64": _base64(row["value"]),
        "changed_at": row["changed_at"],
        "changed_by": row["changed_by"],
    }
    return reader.answer(body, row["as_of"])


REQUESTED: Final = {
    202: {
        "model": DeadLetterRequested,
        "description": "No worker has come to it yet; one will.",
    },
    **documentation.problems(401, 403, 404, 422, 503),
    409: documentation.problems(409)[409]
    | {"description": "It has been retried or discarded, or that was asked for, already."},
}


@router.post(
    "/dead-letters/{id}/retry",
    response_model=DeadLetterRequested,
    responses=REQUESTED,
    dependencies=[Depends(without_parameters)],
)
async def retry_dead_letter(
    number: Number, serving: Serving, who: Annotated[Bearer, Depends(operator)]
) -> Response:
    """Have a worker decode the record with today's code and apply the event it makes."""
    done = await serving.dead_letters.carried_out(who, number, "retry")
    return _requested(number, "retried", done)


@router.post(
    "/dead-letters/{id}/discard",
    response_model=DeadLetterRequested,
    responses=REQUESTED,
    dependencies=[Depends(without_parameters)],
)
async def discard_dead_letter(
    number: Number, serving: Serving, who: Annotated[Bearer, Depends(operator)]
) -> Response:
    """Have a dead letter set aside; it is kept."""
    done = await serving.dead_letters.carried_out(who, number, "discard")
    return _requested(number, "discarded", done)


def _requested(number: int, status: DeadLetterStatus, done: bool) -> Response:
    body = {"id": number, "status": status if done else "parked"}
    return answers.plain(body, 200 if done else 202)


def _listed(row: asyncpg.Record) -> dict[str, Any]:
    key: bytes | None = row["key"]
    return {
        "id": row["id"],
        "reason": row["reason"],
        "message": row["message"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "key": None if key is None else key.decode(errors="replace"),
        "status": row["state"],
        "created_at": row["created_at"],
    }


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
