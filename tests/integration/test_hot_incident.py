"""One incident that thousands of runs mention, while its evidence keeps coming."""

import time
from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from projector.settings import ProjectorSettings
from tests.applying import workers
from tests.records import FakeRecord, record
from tests.unit.event_samples import least

pytestmark = pytest.mark.crash

RUNS, EVIDENCE, OTHERS = 5_000, 200, 20_000
INCIDENT = "INC-20260518-HOT1"
LONGEST_POLL_SECONDS = 5.0


def run_id(number: int) -> str:
    return str(UUID(int=number))


def mentions() -> Iterator[dict[str, Any]]:
    for number in range(RUNS):
        yield least(
            "run-state", run_id=run_id(number), trigger_ref=INCIDENT, project_id=f"p{number % 3}"
        )


def evidence(number: int) -> dict[str, Any]:
    return least(
        "remediation-evidence",
        id=number,
        incident_id=INCIDENT,
        created_at=f"2026-05-18T07:{number // 60:02}:{number % 60:02}Z",
        verification_result_preview=f"look {number}",
    )


def other(number: int) -> dict[str, Any]:
    return least("step-journal", run_id=run_id(number % RUNS), step_id=f"s{number}")


def mixed() -> list[FakeRecord]:
    rng = Random(5)
    kinds = ["remediation-evidence"] * EVIDENCE + ["step-journal"] * OTHERS
    rng.shuffle(kinds)
    counts = dict.fromkeys(kinds, 0)
    records = []
    for kind in kinds:
        number = counts[kind]
        counts[kind] += 1
        value = evidence(number) if kind == "remediation-evidence" else other(number)
        records.append(record(kind, number, value))
    return records


@pytest.mark.parametrize("poll", [ProjectorSettings.model_fields["poll_max_records"].default, 250])
async def test_no_poll_takes_long_and_every_run_is_right(database_url: str, poll: int) -> None:
    first = [record("run-state", n, value) for n, value in enumerate(mentions())]
    then = mixed()
    slowest = 0.0
    async with workers(database_url, 1) as (worker,):
        await worker.own([*first, *then])
        for records in (first, then):
            for start in range(0, len(records), poll):
                began = time.monotonic()
                await worker.poll(records[start : start + poll])
                slowest = max(slowest, time.monotonic() - began)
    assert slowest < LONGEST_POLL_SECONDS
    await check(database_url)


async def check(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT status, summary FROM g_main.run")
        steps = await connection.fetchval("SELECT count(*) FROM g_main.item")
        counted = await connection.fetch(
            "SELECT status, sum(total)::int AS total FROM g_main.run_counter"
            " WHERE level = 0 GROUP BY status HAVING sum(total) <> 0"
        )
    finally:
        await connection.close()
    assert steps == OTHERS
    assert [tuple(row) for row in counted] == [("observed", RUNS)]
    summaries = [orjson.loads(row["summary"]) for row in rows]
    assert len(summaries) == RUNS
    assert {row["status"] for row in rows} == {"observed"}
    assert {(each["total"], each["latest_preview"]) for each in summaries} == {
        (EVIDENCE, f"look {EVIDENCE - 1}")
    }
