"""The endpoints, one module a view."""

from typing import Final

from fastapi import APIRouter

from api.routes import (
    approvals,
    catalogue,
    channel_events,
    decisions,
    health,
    operations,
    runs,
    stream,
    timeline,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    catalogue.router,
    runs.router,
    timeline.router,
    channel_events.router,
    approvals.router,
    decisions.router,
    stream.router,
    operations.router,
    health.router,
)
