"""The judgement: views, dead letters, positions and audit against what lies in the topics."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

from tests.crash.log import Ends, Logged, read_log
from tests.crash.progress import positions, views
from tests.crash.site import Site
from tests.crash.workers import RUNFOLD
from tests.property.answers import asking, detail, diff, lists
from tests.reference import Platform, Record, load, run_list

RUNS = "SELECT listing, summary FROM run ORDER BY created_at DESC, run_id DESC"

DEAD_LETTERS = """
    SELECT topic, partition, "offset", reason
    FROM dead_letter
    ORDER BY topic, partition, "offset"
"""

TOTALS = "SELECT sum(applied), sum(dead), sum(tombstones), sum(gaps) FROM position"

IN_DETAIL = 10
"""Runs whose detail and timelines are asked for; the list is compared whole."""


async def judge(site: Site, ends: Ends, log: Sequence[Logged] | None = None) -> list[Logged]:
    """Hold everything the workers wrote against the log, and return the log.

    It is what the broker holds before these ends, unless given.
    """
    log = list(log or await read_log(site, ends))
    platform = load(each.record for each in log)
    stored = await positions(site)
    assert {at: end for at, end in stored.items() if end} == {
        at: end for at, end in ends.items() if end
    }
    await _judge_tables(site, platform, log, lost=sum(ends.values()) - len(log))
    await _judge_answers(site, platform)
    await _audit(site)
    return log


def delivered(log: Sequence[Logged]) -> Counter[Record]:
    """How often each record lies in the log."""
    return Counter(each.record for each in log)


async def _judge_tables(site: Site, platform: Platform, log: Sequence[Logged], lost: int) -> None:
    async with views(site) as connection:
        found = [_listed(row) for row in await connection.fetch(RUNS)]
        assert diff("runs", found, run_list(platform))[:9] == []
        assert [tuple(row) for row in await connection.fetch(DEAD_LETTERS)] == _dead(log)
        [totals] = await connection.fetch(TOTALS)
    known = len(platform.events), len(platform.dead), platform.tombstones
    assert tuple(totals) == (*known, lost)


async def _judge_answers(site: Site, platform: Platform) -> None:
    runs = [run["run_id"] for run in run_list(platform)]
    async with asking(site.database_url) as asker:
        found = await lists(asker, platform)
        for run_id in Random(len(runs)).sample(runs, min(IN_DETAIL, len(runs))):
            found += await detail(asker, platform, run_id)
    assert found[:9] == []


async def _audit(site: Site) -> None:
    process = await asyncio.create_subprocess_exec(
        RUNFOLD,
        "audit",
        env=site.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()


def _listed(row: Any) -> dict[str, Any]:
    return {**_exact(row["listing"]), "remediation_summary": _exact(row["summary"])}


def _exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _dead(log: Sequence[Logged]) -> list[tuple[str, int, int, str]]:
    """Where each bad record of the log lies, and its reason."""
    return sorted(
        (*each.partition, each.offset, letter.reason)
        for each in log
        for letter in load([each.record]).dead
    )
