"""From producers over the topics into the views: a worker that runs, and all it has been sent."""

import base64
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts.decoding import Reason
from contracts.health import Outage
from contracts.metrics import ProjectorMetrics
from contracts.topics import TOPICS, topic_name
from projector.demo.process import free_port
from projector.operations import tracing
from projector.operations.tracing import Tracing
from tests.deciding import REJECT, Approver, Outbox, events, key_file, waiting
from tests.histories import history
from tests.histories.bad import KINDS
from tests.histories.world import World
from tests.live import Line, applied, running_worker, settings_of
from tests.reference import Record
from tests.scraping import Scrape, catalogue, scrape
from tests.stack import databases
from tests.stack.servers import EmbeddedPostgres
from tests.stack.waiting import until
from tests.unit.event_samples import RUN, as_bytes, least

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEADLINE_S = 30
CODECS = (None, "gzip", "snappy", "lz4", "zstd")
ENGINE_AT = "2999-01-01T00:00:00.500000Z"


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["broker", pytest.param("kafka_bootstrap", marks=pytest.mark.kafka)],
)
async def line(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, database_template: str
) -> AsyncIterator[Line]:
    server = request.getfixturevalue(request.param)
    name, prefix = f"line_{uuid4().hex}", f"test-{uuid4().hex[:12]}."
    await databases.clone_database(postgres.url, database_template, name)
    url = postgres.url_of(name)
    settings = settings_of(url, getattr(server, "bootstrap", server), prefix)
    settings = settings.model_copy(update={"metrics_port": free_port(), "tracing": True})
    views = await asyncpg.connect(url, server_settings={"search_path": "g_main"})
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tracing, "from_environment", lambda group: Tracing(provider, group))
        async with running_worker(settings):
            yield Line(settings, views, spans)
    await views.close()
    await databases.drop_database(postgres.url, name)


async def test_each_bad_record_is_parked_once_and_its_neighbours_are_applied(line: Line) -> None:
    assert len(KINDS) >= 17
    assert {kind.reason for kind in KINDS} == {reason.value for reason in Reason}
    bad = [kind.record(World.draw(Random(number))) for number, kind in enumerate(KINDS)]
    mixed = [*history(11, size=300), *bad]
    Random(11).shuffle(mixed)
    await line.send(mixed)
    await line.check()
    for row in await line.views.fetch("SELECT message, headers FROM runfold.dead_letter"):
        assert row["message"].isprintable()
        headers = {name: base64.b64decode(value) for name, value in json.loads(row["headers"])}
        assert headers["content-type"].startswith(b"application/cloudevents+json")


async def test_every_codec_of_kafka_is_read(line: Line) -> None:
    records = [*history(12, size=100)]
    for number, codec in enumerate(CODECS):
        await line.send(records[number :: len(CODECS)], codec)
    await line.check()


async def test_what_lag_tools_see_follows_the_positions(line: Line) -> None:
    for number in range(3):
        event = least("project", project_id=f"p{number}")
        await line.send([Record("project", f"p{number}", as_bytes(event))])
    stored = await line.positions()
    where = {"bootstrap_servers": line.settings.kafka_bootstrap}
    kafka = AIOKafkaConsumer(**where, group_id=line.settings.group_id, enable_auto_commit=False)

    async def told() -> bool:
        return {each: await kafka.committed(each) for each in stored} == stored

    async with kafka:
        await until(told, DEADLINE_S, "the last positions at Kafka")


ACCOUNTED = """
    SELECT sum(applied) applied, sum(dead) dead, sum(tombstones) tombstone, sum(gaps) gap
    FROM position WHERE topic = $1
"""
BY_REASON = "SELECT reason, count(*) FROM runfold.dead_letter GROUP BY reason"


async def test_a_worker_counts_what_it_has_committed(line: Line) -> None:
    # with records in it that the database refuses, so that batches are halved
    await line.send(history(31, size=400, bad=True))
    port = line.settings.metrics_port
    assert port is not None

    async def well() -> Scrape | None:
        seen = await scrape(port)
        lags = seen.each("runfold_partition_lag_events")
        # a broker that has just started has no coordinator for a while
        up = seen.each("runfold_dependency_up")
        return seen if len(lags) == len(TOPICS) * 3 and not any(lags) and all(up) else None

    seen = await until(well, DEADLINE_S, "no lag in any partition, no outage")
    assert seen is not None
    for topic in TOPICS:
        name = topic_name(line.settings.topic_prefix, topic.suffix)
        for outcome, count in (await line.views.fetchrow(ACCOUNTED, name) or {}).items():
            counted = sum(seen.each("runfold_records_total", topic=name, outcome=outcome))
            assert counted == (count or 0), (name, outcome)
    rows = await line.views.fetch(BY_REASON)
    parked: dict[str, int] = {row["reason"]: row["count"] for row in rows}
    assert "rejected" in parked
    assert seen.by("runfold_dead_letters_total", "reason") == dict.fromkeys(Reason, 0) | parked
    assert seen.total("runfold_poll_records_sum") >= len(line.sent)
    assert seen.total("runfold_poll_seconds_count") == seen.total("runfold_poll_records_count")
    assert seen.total("runfold_freshness_seconds_count") > 0
    assert seen.total("runfold_freshness_seconds_sum") > 0
    assert len(seen.each("runfold_partition_lag_seconds")) == len(TOPICS) * 3
    assert max(seen.each("runfold_partition_lag_seconds")) < 10
    for given in catalogue(ProjectorMetrics(Outage("database"))):
        assert {*given.series} <= seen.names(), given.name


async def test_a_poll_is_linked_to_its_events_and_holds_its_commits(line: Line) -> None:
    line.spans.clear()
    same, other = (f"00-{number:032x}-{number:016x}-01" for number in (7, 9))
    steps = [
        least("step-journal", step_id=f"traced-{number}") | {"traceparent": context}
        for number, context in enumerate([same, same, "00-xyz", None, other])
    ]
    await line.send([Record("step-journal", RUN, as_bytes(step)) for step in steps])

    def traced(name: str, counted: str) -> int:
        return sum(int(str((each.attributes or {})[counted])) for each in named(line, name))

    def all_traced() -> bool:
        polled = traced("poll", "messaging.batch.message_count")
        return polled == traced("commit", "runfold.events") == 5

    await until(all_traced, DEADLINE_S, "five events in commits and in polls")
    polls, commits, told = (named(line, name) for name in ("poll", "commit", "apply"))
    assert {link.context.trace_id for poll in polls for link in poll.links} == {7, 9}
    known = {poll.context.span_id for poll in polls}
    assert all(commit.parent and commit.parent.span_id in known for commit in commits)
    # in the producer's own trace stands what became of its event
    assert {span.parent.span_id for span in told if span.parent} == {7, 9}
    for span in told:
        assert span.parent is not None
        assert span.context.trace_id == span.parent.trace_id
        assert {link.context.span_id for link in span.links} <= known
    assert max(c.end_time or 0 for c in commits) <= max(s.end_time or 0 for s in told)


def named(line: Line, name: str) -> list[ReadableSpan]:
    return [span for span in line.spans.get_finished_spans() if span.name == name]


async def test_records_of_a_poll_that_failed_are_read_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client drains several partitions, fails on one, and what it has drained is gone."""
    getmany = AIOKafkaConsumer.getmany
    lost: list[Any] = []

    async def failing(client: AIOKafkaConsumer, *partitions: Any, **options: Any) -> Any:
        polled = await getmany(client, *partitions, **options)
        if polled and not lost:
            lost.append(polled)
            raise KafkaError("failed in the middle of draining")
        return polled

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", failing)
    # nothing comes after it that would show the hole
    await line.send(history(3, size=1))
    assert lost
    await line.check()


async def test_from_the_decision_over_the_topic_to_the_engines_answer(
    line: Line, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run, settings = str(uuid4()), line.settings
    key = key_file(tmp_path_factory.mktemp("key"))
    outbox = Outbox(settings.database_url, settings.kafka_bootstrap, settings.topic_prefix, key)
    async with outbox.api() as api:
        await line.send([Record("run-state", run, as_bytes(waiting(run_id=run)))])
        made = (await Approver(api, run=run).decide(REJECT)).json()
        await outbox.leaves()
        [event] = await events(outbox.url, run)
        line.sent.append(Record("approval-command", run, event.to_bytes()))
        await applied(line.views, len(line.sent))

        path = f"/v1/runs/{run}"
        [shown] = (await api.get(f"{path}/timeline", kind="approval"))["timeline"]
        assert (shown["status"], shown["summary"]) == ("reject", "alice: too risky")
        assert shown["metadata"]["command_id"] == made["command_id"]
        queue = await api.get("/v1/approvals", run_id=run, include_decided="true")
        assert [each["decision"]["status"] for each in queue["items"]] == ["published"]
        assert (await api.get(path))["run"]["state"] == "waiting_approval"

        said = {"state": "cancelled", "state_changed_at": ENGINE_AT, "pending_action": None}
        await line.send([Record("run-state", run, as_bytes(waiting(8, run_id=run, **said)))])
        command = await api.get(f"/v1/approvals/commands/{made['command_id']}")
        assert (command["status"], command["applied_at"]) == ("applied", ENGINE_AT)
        queue = await api.get("/v1/approvals", run_id=run, include_decided="true")
        assert queue["items"] == []
        assert (await api.get(path))["run"]["state"] == "cancelled"
    await line.check()
