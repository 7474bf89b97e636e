"""What the API counts of itself, for Prometheus."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from fastapi import Response
from prometheus_client import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.health import Outage
from contracts.metrics import ApiMetrics

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


class Metrics(ApiMetrics):
    """The metrics of one application, and the limits that they are held against."""

    def __init__(self, most_streams: int, approval_seconds: int, outages: Iterable[Outage]) -> None:
        super().__init__(outages)
        self.series = cache(
            lambda method, route, status: (
                self.requests.labels(method, route, str(status)),
                self.request_seconds.labels(method, route),
            )
        )
        """The number of such requests, and how long they took: found by their labels once."""
        for code in CODES:
            self.problems.labels(code)
        self.streams_limit.set(most_streams)
        self.approval_seconds.set(approval_seconds)

    def count_problem(self, status: int, code: str) -> None:
        """Count a problem that a client got, if it is the server's."""
        if status >= 500:
            self.problems.labels(code).inc()

    def exposition(self, streams: int, backlog: Backlog | None) -> Response:
        """Return the metrics as they are now; without a backlog nothing is said of it."""
        self.streams.set(streams)
        text = generate_latest(self.registry)
        if backlog is not None:
            self.outbox_pending.set(backlog.outbox_pending)
            self.outbox_age.set(backlog.outbox_age_s)
            self.parked.clear()
            for reason, count in backlog.parked.items():
                self.parked.labels(reason).set(count)
            text += generate_latest(self.backlog)
        return Response(text, media_type=MEDIA_TYPE)


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
