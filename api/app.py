"""The application, put together: the only place where everything meets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api import problems, transports
from api.auth import verifier
from api.database import open_command_pool, open_pool
from api.dead_letters import DeadLetters
from api.decisions.command import Issuer
from api.decisions.decide import Decisions
from api.decisions.relay import relaying
from api.metrics import Measured, Metrics
from api.openapi import DocumentedApi
from api.outages import Outages
from api.reading import Views
from api.routes import ROUTERS
from api.services import Services
from api.settings import ApiSettings
from api.stream.feed import Feed
from api.stream.shutdown import called_at_shutdown
from contracts.settings import kafka_connection, load
from contracts.signing_keys import load_signing_keys
from contracts.topics import topic_name

DESCRIPTION: Final = "The views of an agent platform's event stream."


class Application(DocumentedApi):
    """The application, which knows what connection a request came by."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what the server hands over."""
        transports.remember(scope, send)
        await super().__call__(scope, receive, send)


def from_environment() -> FastAPI:
    """Return the application set up from the environment. Raises `SettingError`."""
    return create_app(load(ApiSettings))


def create_app(settings: ApiSettings) -> FastAPI:
    """Return the application for these settings. Raises `SettingError`.

    The database need not be there yet: until it is, requests that need it are answered 503.
    """
    verifying = verifier(settings)
    signing = load_signing_keys(settings.approval_key) if settings.approval_key else None
    issuer = Issuer(
        signing,
        settings.approval_issuer,
        settings.approval_audience,
        timedelta(seconds=settings.approval_seconds),
    )
    decisions = topic_name(settings.topic_prefix, "approval-command")
    broker = kafka_connection(settings) if settings.kafka_bootstrap else None
    outages = Outages()
    metrics = Metrics(settings.stream_connections, settings.approval_seconds, outages)

    @asynccontextmanager
    async def serving(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_pool(settings.database_url) as pool,
            open_command_pool(settings.database_url) as command_pool,
            relaying(settings.database_url, decisions, broker, outages),
        ):
            views = Views(pool, outages.database)
            most = settings.stream_connections
            feed = Feed(settings.database_url, views, most, outages.changes)
            app.state.services = Services(
                views=views,
                verifier=verifying,
                decisions=Decisions(command_pool, issuer, outages.database),
                dead_letters=DeadLetters(command_pool, outages.database),
                signing_keys=signing,
                feed=feed,
                max_lag=settings.ready_max_lag,
                metrics=metrics,
            )
            async with feed.running():
                with called_at_shutdown(feed.close):
                    yield

    app = Application(
        title="runfold",
        version="1",
        description=DESCRIPTION,
        lifespan=serving,
        # The interactive pages would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # what is counted here is counted by Prometheus alone
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    # including them would have every request find its way through one router after another
    app.router.routes.extend(route for router in ROUTERS for route in router.routes)
    app.add_middleware(Measured, metrics=metrics)
    problems.install(app, metrics.answered)
    return app
