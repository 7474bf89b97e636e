"""Much at once: a backlog that fits into memory, and an incident that thousands of runs mention."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice
from random import Random
from typing import Any
from uuid import UUID

import orjson
import psutil
import pytest

from projector.demo import history as demo
from projector.jsonl import Record
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import create_topics
from projector.settings import ProjectorSettings
from tests.api_rows import numbered
from tests.applying import fetch, workers
from tests.command import running
from tests.live import settings_of, variables_of
from tests.records import FakeRecord
from tests.stack.servers import EmbeddedBroker
from tests.stack.waiting import until
from tests.unit.event_samples import least

BACKLOG = 500_000
ENOUGH = 120_000
"""Events after which a worker has long held as much at once as it ever will."""
BOUND_BYTES = 300 * 1_000_000

RUNS, EVIDENCE, OTHERS = 5_000, 100, 10_000
INCIDENT = "INC-20260518-HOT1"
COUNTED = """
    SELECT status, sum(total)::int FROM run_counter WHERE level = 0
    GROUP BY status HAVING sum(total) <> 0
"""


def backlog() -> Iterator[Record]:
    events = islice(demo.history(3, None, datetime(2026, 5, 18, tzinfo=UTC)), BACKLOG)
    for number, event in zip(count(1), events, strict=False):
        yield Record(number, event.topic, event.key.encode(), event.value)


@pytest.mark.crash
@pytest.mark.timeout(600)
async def test_a_backlog_of_half_a_million_events_fits_into_300_megabytes(
    database_url: str, broker: EmbeddedBroker, topic_prefix: str
) -> None:
    settings = settings_of(database_url, broker.bootstrap, topic_prefix)
    await create_topics(settings, settings.partitions)
    sent = await publish(settings, paced(backlog(), None), "event")
    assert sent.total() == BACKLOG
    most = 0
    with running("projector", variables=variables_of(settings)) as worker:
        process = psutil.Process(worker.pid)

        async def read_enough() -> bool:
            nonlocal most
            most = max(most, process.memory_info().rss)
            assert worker.poll() is None
            [applied] = await fetch(database_url, "SELECT sum(applied)::bigint FROM position")
            return (applied[0] or 0) >= ENOUGH

        await until(read_enough, 300, f"{ENOUGH} events in the views")
        worker.terminate()
        await asyncio.to_thread(worker.wait, 30)
    assert most < BOUND_BYTES, f"{most / 1e6:.0f} MB resident"


def run(number: int) -> dict[str, Any]:
    """A run that mentions the incident."""
    about = {"trigger_ref": INCIDENT, "project_id": f"p{number % 3}"}
    return least("run-state", run_id=str(UUID(int=number)), **about)


def evidence(number: int) -> dict[str, Any]:
    at = f"2026-05-18T07:{number // 60:02}:{number % 60:02}Z"
    about = {"incident_id": INCIDENT, "verification_result_preview": f"look {number}"}
    return least("remediation-evidence", id=number, created_at=at, **about)


def mixed() -> list[FakeRecord]:
    """Evidence of the incident strewn among steps."""
    given = [("remediation-evidence", evidence(number)) for number in range(EVIDENCE)]
    for number in range(OTHERS):
        where = {"run_id": str(UUID(int=number % RUNS)), "step_id": f"s{number}"}
        given.append(("step-journal", least("step-journal", **where)))
    Random(5).shuffle(given)
    return numbered(given)


@pytest.mark.crash
@pytest.mark.parametrize("poll", [ProjectorSettings.model_fields["poll_max_records"].default, 250])
async def test_no_poll_of_a_hot_incident_takes_long_and_every_run_is_right(
    database_url: str, poll: int
) -> None:
    slowest = 0.0
    async with workers(database_url, 1) as (worker,):
        for records in (numbered(("run-state", run(n)) for n in range(RUNS)), mixed()):
            await worker.own(records)
            for start in range(0, len(records), poll):
                began = time.monotonic()
                await worker.poll(records[start : start + poll])
                slowest = max(slowest, time.monotonic() - began)
    assert slowest < 5
    assert len(await fetch(database_url, "SELECT FROM item")) == OTHERS
    assert [tuple(row) for row in await fetch(database_url, COUNTED)] == [("observed", RUNS)]
    rows = await fetch(database_url, "SELECT status, summary FROM run")
    assert len(rows) == RUNS
    told = ((row["status"], orjson.loads(row["summary"])) for row in rows)
    shown = {(status, it["total"], it["latest_preview"]) for status, it in told}
    assert shown == {("observed", EVIDENCE, f"look {EVIDENCE - 1}")}
