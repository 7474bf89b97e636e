"""What the API counts of itself, for Prometheus."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from fastapi import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts import metrics
from contracts.health import Outage

MEDIA_TYPE: Final = "text/plain; version=0.0.4"

UNKNOWN: Final = "unknown"
"""Route of a request that no route takes: its path may be anything."""


CODES: Final = ("internal", "database_unavailable", "database_busy", "query_timeout", "not_yet")
"""Problems that are shown before the first of them: else no increase would be seen by it."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the database for somebody."""

    outbox_pending: int
    outbox_age_s: float
    parked: Mapping[str, int]
    """Dead letters by reason."""


class Metrics:
    """The metrics of one application, and the limits that they are held against."""

    def __init__(self, most_streams: int, approval_seconds: int, outages: Iterable[Outage]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        requests = metrics.REQUESTS.counter(self._registry)
        seconds = metrics.REQUEST_SECONDS.histogram(self._registry)
        self.series = cache(
            lambda method, route, status: (
                requests.labels(method, route, str(status)),
                seconds.labels(method, route),
            )
        )
        """The number of such requests, and how long they took: found by their labels once."""
        self.in_progress = metrics.REQUESTS_IN_PROGRESS.gauge(self._registry)
        self._problems = metrics.PROBLEMS.counter(self._registry)
        for code in CODES:
            self._problems.labels(code)
        self._streams = metrics.STREAMS.gauge(self._registry)
        metrics.STREAMS_LIMIT.gauge(self._registry).set(most_streams)
        metrics.APPROVAL_SECONDS.gauge(self._registry).set(approval_seconds)
        self._waiting = _Waiting()
        self._registry.register(self._waiting)
        self._registry.register(_Dependencies(outages))

    def answered(self, status: int, code: str) -> None:
        """Count a problem that a client was told of, if it is the server's."""
        if status >= 500:
            self._problems.labels(code).inc()

    def exposition(self, streams: int, backlog: Backlog | None) -> Response:
        """Return the metrics as they are now; without a backlog nothing is said of it."""
        self._streams.set(streams)
        self._waiting.backlog = backlog
        return Response(generate_latest(self._registry), media_type=MEDIA_TYPE)


class _Waiting(Collector):
    """Tells of what was just read of the database, and of nothing when it could not be read."""

    def __init__(self) -> None:
        self.backlog: Backlog | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the backlog."""
        pending, age = metrics.OUTBOX_PENDING.family(), metrics.OUTBOX_AGE.family()
        parked = metrics.PARKED.family()
        if self.backlog is not None:
            pending.add_metric([], self.backlog.outbox_pending)
            age.add_metric([], self.backlog.outbox_age_s)
            for reason, count in self.backlog.parked.items():
                parked.add_metric([reason], count)
        yield from (pending, age, parked)


class _Dependencies(Collector):
    """Tells of outages when somebody asks."""

    def __init__(self, outages: Iterable[Outage]) -> None:
        self._outages = outages

    def collect(self) -> Iterator[Metric]:
        """Yield how each dependency is."""
        up, failures = metrics.API_DEPENDENCY_UP, metrics.API_DEPENDENCY_FAILURES
        yield from metrics.dependencies(up, failures, self._outages)


class Measured:
    """The application, every request to it counted and timed."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and record what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()
        streaming_after: float | None = None

        async def observed(message: Message) -> None:
            nonlocal status, streaming_after
            if message["type"] == "http.response.start":
                status = message["status"]
                if _is_stream(message):
                    streaming_after = time.perf_counter() - started
            await send(message)

        with self._metrics.in_progress.track_inprogress():
            try:
                await self._app(scope, receive, observed)
            finally:
                took = time.perf_counter() - started
                self._record(scope, status, took if streaming_after is None else streaming_after)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN)
        method = scope["method"] if route != UNKNOWN else UNKNOWN
        requests, durations = self._metrics.series(method, route, status)
        requests.inc()
        durations.observe(seconds)


def _is_stream(message: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message["headers"]
    )
