"""Traces of polls, but for those of a worker on a broker, which the tests of delivery look at."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts.errors import SettingError
from projector.operations.tracing import MOST_LINKS, Tracing
from projector.worker import run_worker
from tests.live import settings_of
from tests.records import FakeRecord, record
from tests.unit.event_samples import least


def polled(number: int) -> FakeRecord:
    context = f"00-{number + 1:032x}-{number + 1:016x}-01"
    return record("step-journal", number, least("step-journal") | {"traceparent": context})


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(spans: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider, "group")


def test_a_poll_has_a_bounded_number_of_links(traced: Tracing, spans: InMemorySpanExporter) -> None:
    with traced.poll([polled(number) for number in range(500)]):
        pass
    (poll,) = (span for span in spans.get_finished_spans() if span.name == "poll")
    assert len(poll.links) == MOST_LINKS
    assert (poll.attributes or {})["messaging.batch.message_count"] == 500


def test_a_poll_that_failed_tells_no_producer(traced: Tracing, spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="no luck"), traced.poll([polled(1)]):
        raise ValueError("no luck")
    (poll,) = spans.get_finished_spans()
    assert (poll.name, poll.status.is_ok) == ("poll", False)


async def test_without_the_extra_the_setting_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = settings_of(database_url, "127.0.0.1:1", "x.").model_copy(update={"tracing": True})
    with pytest.raises(SettingError, match=r"RUNFOLD_TRACING: .*runfold\[otel\]"):
        await run_worker(settings)


def test_off_it_is_not_even_loaded() -> None:
    program = (
        "import sys, projector.worker;"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
