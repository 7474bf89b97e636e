"""Served without a token: health, readiness, metrics, and public keys."""

import asyncio
from typing import Final

from fastapi import APIRouter, Depends, Response

from api import openapi
from api.auth import Bearer, Role
from api.dependencies import Serving
from api.metrics import Backlog
from api.operations_schemas import Health, KeySet, Ready
from api.parameters import without_parameters
from api.problems import Problem, unavailable
from api.queries import operations
from api.reading import Views
from api.responses import json_response

router = APIRouter(
    tags=["service"], dependencies=[Depends(without_parameters)], responses=openapi.problems(422)
)

NOBODY: Final = Bearer(subject="", projects=(), roles=frozenset())
"""Readiness needs no token and sees no project."""

EVERYBODY: Final = Bearer(subject="", projects=None, roles=frozenset({Role.OPERATOR}))
"""The metrics are numbers over all projects."""

BACKLOG_S: Final = 3.0


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """Say that the process is there."""
    return json_response({"status": "ok"})


@router.get("/readyz", response_model=Ready, responses=openapi.problems(503))
async def readyz(serving: Serving) -> Response:
    """Say whether the views can be read and are being kept up."""
    async with serving.views.snapshot(NOBODY) as snapshot:
        lag, workers, unknown = await operations.readiness(snapshot)
    if not workers:
        raise unavailable("not_ready", "no projector has been seen for 30 seconds", 5)
    if unknown:
        detail = f"no projector has reported yet how far {unknown} partitions reach"
        raise unavailable("not_ready", detail, 5)
    if lag > serving.max_lag:
        detail = f"the views are {lag} events behind; {serving.max_lag} are allowed"
        raise unavailable("not_ready", detail, 5)
    return json_response(
        {
            "status": "ready",
            "generation": snapshot.generation,
            "workers": workers,
            "lag": lag,
            "max_lag": serving.max_lag,
        }
    )


@router.get("/.well-known/jwks.json", response_model=KeySet)
async def jwks(serving: Serving) -> Response:
    """Publish the keys that approval tokens are verified with."""
    return json_response(serving.signing_keys.jwks() if serving.signing_keys else {"keys": []})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(serving: Serving) -> Response:
    """Give the API's metrics in the text format of Prometheus."""
    return serving.metrics.exposition(len(serving.feed), await _backlog(serving.views))


async def _backlog(views: Views) -> Backlog | None:
    """Return what waits in the database, or None when it does not say so in time."""
    try:
        async with asyncio.timeout(BACKLOG_S), views.snapshot(EVERYBODY) as snapshot:
            return await operations.backlog(snapshot)
    except (Problem, TimeoutError):
        return None
