"""Traces from a producer through the poll to the commit; imported only where tracing is on.

A poll has one span, which links to the events' own traces, and one span below it for each of its
transactions. In the trace of an event's producer stands a span from the poll to the commit.
Both are bounded: a poll is one thing to be looked at, not thousands.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contracts.errors import SettingError
from projector.dependencies import Connection
from projector.generations.activation import Target
from projector.writing.applying import Write
from projector.writing.batch import Batch, Record

LOOKED_AT: Final = 256
"""Records of a poll, at most, in which a trace is looked for."""

MOST_LINKS: Final = 32
"""Traces, at most, that a poll is linked to."""

NOT_INSTALLED: Final = (
    "RUNFOLD_TRACING: what sends traces is not installed: pip install 'runfold[otel]'"
)

_TRACEPARENT: Final = b'"traceparent"'
_W3C: Final = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of one worker."""

    def __init__(self, provider: TracerProvider, group: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("runfold.projector")
        self._attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.consumer.group.name": group,
        }

    @contextmanager
    def poll(self, records: Sequence[Record]) -> Iterator[None]:
        """Trace a poll: ends when all of it is durable, or with the error that it met."""
        events = _traced(records)
        started = time.time_ns()
        with self._tracer.start_as_current_span(
            "poll",
            kind=SpanKind.CONSUMER,
            attributes={**self._attributes, "messaging.batch.message_count": len(records)},
            links=[Link(get_current_span(each).get_span_context()) for each, _ in events],
        ) as span:
            yield
        self._tell_producers(span, events, started)

    def write(self, write: Write) -> Write:
        """Return `write` with a span around each transaction."""

        async def traced(connection: Connection, batch: Batch, target: Target, slot: int) -> None:
            applied = sum(move.applied for move in batch.moves.values())
            attributes: dict[str, str | int] = {
                "runfold.generation": target.generation,
                "runfold.events": applied,
                "runfold.dead_letters": len(batch.dead),
            }
            with self._tracer.start_as_current_span("commit", attributes=attributes):
                await write(connection, batch, target, slot)

        return traced

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()

    def _tell_producers(
        self, poll: Span, events: Sequence[tuple[Context, Record]], started: int
    ) -> None:
        link = Link(poll.get_span_context())
        for context, record in events:
            attributes: dict[str, str | int] = {
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            }
            span = self._tracer.start_span(
                "apply",
                context,
                SpanKind.CONSUMER,
                {**self._attributes, **attributes},
                [link],
                start_time=started,
            )
            span.end()


def _traced(records: Sequence[Record]) -> list[tuple[Context, Record]]:
    """Return the traces that events of a poll are part of, each once, with its first event."""
    found: dict[str, tuple[Context, Record]] = {}
    for record in records[:LOOKED_AT]:
        traceparent = _traceparent(record)
        if traceparent is None or traceparent in found:
            continue
        context = _W3C.extract({"traceparent": traceparent}, Context())
        if get_current_span(context).get_span_context().is_valid:
            found[traceparent] = context, record
            if len(found) == MOST_LINKS:
                break
    return [*found.values()]


def _traceparent(record: Record) -> str | None:
    if record.value is None or _TRACEPARENT not in record.value:
        return None
    try:
        envelope = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    told = envelope.get("traceparent") if isinstance(envelope, dict) else None
    return told if isinstance(told, str) else None


def from_environment(group: str) -> Tracing:
    """Return tracing that sends to where OpenTelemetry's own variables (`OTEL_…`) say.

    Raises `SettingError` when the extra that sends is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
    except ImportError as error:
        raise SettingError(NOT_INSTALLED) from error
    provider = TracerProvider(resource=Resource.create({"service.name": "runfold-projector"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, group)
