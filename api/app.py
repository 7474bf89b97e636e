"""The application, put together: the only place where everything meets."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import structlog
from fastapi import FastAPI

from api import problems
from api.auth import verifier
from api.database import open_command_pool, open_pool
from api.dead_letters import DeadLetters
from api.decisions.deciding import Decisions
from api.decisions.relay import Relay
from api.decisions.request import Issuer
from api.dependencies import Services
from api.metrics import Measured, Metrics
from api.openapi import DocumentedApi
from api.reading import Views
from api.routes import approvals, catalogue, health, operations, runs, stream
from api.settings import ApiSettings
from api.stream import Feed
from contracts.health import Outage
from contracts.settings import kafka_connection, load
from contracts.signing_keys import load_signing_keys
from contracts.topics import topic_name

DESCRIPTION: Final = "The views of an agent platform's event stream."
ROUTERS: Final = (catalogue, runs, approvals, stream, operations, health)

logger = structlog.stdlib.get_logger("api.app")


def from_environment() -> FastAPI:
    """Return the application set up from the environment. Raises `SettingError`."""
    return create_app(load(ApiSettings))


def create_app(settings: ApiSettings) -> FastAPI:
    """Return the application for these settings. Raises `SettingError`.

    The database need not be there yet: until it is, requests that need it are answered 503.
    """
    verifying = verifier(settings)
    signing = load_signing_keys(settings.approval_key) if settings.approval_key else None
    lifetime = timedelta(seconds=settings.approval_seconds)
    issuer = Issuer(signing, settings.approval_issuer, settings.approval_audience, lifetime)
    broker_connection = kafka_connection(settings) if settings.kafka_bootstrap else None
    topic = topic_name(settings.topic_prefix, "approval-command")
    database, log = Outage("database"), Outage("log of changes")
    outbox, broker = Outage("database of the outbox"), Outage("broker")
    metrics = Metrics(
        settings.stream_connections, settings.approval_seconds, (database, log, outbox, broker)
    )

    @asynccontextmanager
    async def serving(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(settings.database_url))
            commands = await stack.enter_async_context(open_command_pool(settings.database_url))
            views = Views(pool, database)
            feed = Feed(settings.database_url, views, settings.stream_connections, log)
            app.state.services = Services(
                views=views,
                verifier=verifying,
                decisions=Decisions(commands, issuer, database),
                dead_letters=DeadLetters(commands, database),
                signing_keys=signing,
                feed=feed,
                max_lag=settings.ready_max_lag,
                metrics=metrics,
            )
            if broker_connection is None:
                logger.info("no broker is set: decisions wait until an API with one publishes them")
            else:
                relay = Relay(settings.database_url, topic, broker_connection, outbox, broker)
                await stack.enter_async_context(relay.running())
            await stack.enter_async_context(feed.running())
            # for `api.http`, which ends all streams when the server is asked to end
            yield {"feed": feed}

    app = DocumentedApi(
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
    # including routers would have every request find its way through one after another
    app.router.routes.extend(route for each in ROUTERS for route in each.router.routes)
    app.add_middleware(Measured, metrics=metrics)
    problems.install(app, metrics.count_problem)
    return app
