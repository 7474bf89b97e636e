"""Traces from the producer's context through the poll to the commit."""

import subprocess
import sys

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts.errors import SettingError
from projector.operations import tracing
from projector.operations.tracing import MOST_LINKS, Tracing
from projector.worker import run_worker
from tests.live import applied, produce, running_worker, settings_of
from tests.records import FakeRecord, record
from tests.reference import Record
from tests.unit.event_samples import RUN, as_bytes, least


def traceparent(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


def sent(number: int, context: str | None) -> Record:
    event = least("step-journal", step_id=f"s{number}")
    return Record("step-journal", RUN, as_bytes(event | {"traceparent": context}))


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Keeps the spans of workers in memory."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "from_environment", lambda group: Tracing(provider, group))
    return kept


def polled(number: int) -> FakeRecord:
    return record("step-journal", number, sent(number, traceparent(number + 1)).value)


def named(spans: tuple[ReadableSpan, ...], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


async def test_a_poll_is_linked_to_its_events_and_holds_its_commits(
    database_url: str, bootstrap: str, topic_prefix: str, exporter: InMemorySpanExporter
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    settings = settings.model_copy(update={"tracing": True})
    contexts = [traceparent(7), traceparent(7), "00-xyz", None, traceparent(9)]
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    async with running_worker(settings):
        events = [sent(number, context) for number, context in enumerate(contexts)]
        await applied(connection, await produce(settings, events))
    await connection.close()
    spans = exporter.get_finished_spans()
    polls, commits = named(spans, "poll"), named(spans, "commit")
    linked = [link.context.trace_id for poll in polls for link in poll.links]
    assert set(linked) == {7, 9}
    known = {span_id(poll) for poll in polls}
    assert commits
    assert all(commit.parent and commit.parent.span_id in known for commit in commits)
    assert sum(int(str((each.attributes or {})["runfold.events"])) for each in commits) == 5
    # in the producer's own trace stands what became of its event
    told = named(spans, "apply")
    assert {span.parent.span_id for span in told if span.parent} == {7, 9}
    for span in told:
        assert span.context is not None
        assert span.parent is not None
        assert span.context.trace_id == span.parent.trace_id
        assert {link.context.span_id for link in span.links} <= known
        assert span.start_time is not None
        assert span.end_time is not None
        assert max(c.end_time or 0 for c in commits) <= max(s.end_time or 0 for s in told)


async def test_a_poll_has_a_bounded_number_of_links() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    records = [polled(number) for number in range(500)]
    with Tracing(provider, "group").poll(records):
        pass
    (poll,) = named(kept.get_finished_spans(), "poll")
    assert len(poll.links) == MOST_LINKS
    assert (poll.attributes or {})["messaging.batch.message_count"] == 500


async def test_a_poll_that_failed_tells_no_producer() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with (
        pytest.raises(ValueError, match="no luck"),
        Tracing(provider, "group").poll([polled(1)]),
    ):
        raise ValueError("no luck")
    (poll,) = kept.get_finished_spans()
    assert not poll.status.is_ok


async def test_without_the_extra_the_setting_says_so(
    database_url: str, bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = settings_of(database_url, bootstrap, topic_prefix)
    settings = settings.model_copy(update={"tracing": True})
    with pytest.raises(SettingError, match=r"RUNFOLD_TRACING: .*runfold\[otel\]"):
        await run_worker(settings)


def test_off_it_is_not_even_loaded() -> None:
    program = (
        "import sys, projector.bootstrap;"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
