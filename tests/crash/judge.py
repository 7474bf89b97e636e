"""The judgement: views, dead letters, positions and audit against what lies in the topics."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.crash.log import Ends, Logged, read_log
from tests.crash.progress import positions, views
from tests.crash.site import Site
from tests.crash.workers import RUNFOLD
from tests.reference import Platform, counts, load, run_list

RUNS = "SELECT listing, summary FROM run ORDER BY created_at DESC, run_id DESC"

COUNTS = """
    SELECT project_id, state, status AS remediation_status, sum(total)::bigint AS total
    FROM run_counter
    WHERE level = 0
    GROUP BY project_id, state, status
    HAVING sum(total) <> 0
    ORDER BY project_id, state, status
"""

DEAD_LETTERS = """
    SELECT topic, partition, "offset", reason
    FROM dead_letter
    ORDER BY topic, partition, "offset"
"""

TOTALS = "SELECT sum(applied), sum(dead), sum(tombstones), sum(gaps) FROM position"

Answer = list[dict[str, Any]]


async def judge(site: Site, ends: Ends, log: Sequence[Logged] | None = None) -> list[Logged]:
    """Hold everything the workers wrote against the log, and return the log.

    It is what the broker holds before these ends, unless given.
    """
    log = list(log or await read_log(site, ends))
    platform = load(each.record for each in log)
    assert {at: end for at, end in (await positions(site)).items() if end} == {
        at: end for at, end in ends.items() if end
    }
    async with views(site) as connection:
        assert_same(
            [_listed(row) for row in await connection.fetch(RUNS)], run_list(platform), "run_id"
        )
        assert [dict(row) for row in await connection.fetch(COUNTS)] == counts(platform)
        assert [tuple(row) for row in await connection.fetch(DEAD_LETTERS)] == _dead(log)
        [totals] = await connection.fetch(TOTALS)
    assert tuple(totals) == (
        len(platform.events),
        len(platform.dead),
        platform.tombstones,
        sum(ends.values()) - len(log),
    )
    await audited(site)
    return log


def assert_same(found: Answer, wanted: Answer, key: str) -> None:
    """Name the first rows that differ, not all of them."""
    assert [row[key] for row in found] == [row[key] for row in wanted]
    differing = [(f, w) for f, w in zip(found, wanted, strict=True) if f != w]
    assert not differing, f"{len(differing)} rows differ, the first: {differing[0]}"


async def audited(site: Site) -> str:
    """What `runfold audit` prints; it must be content."""
    process = await asyncio.create_subprocess_exec(
        RUNFOLD,
        "audit",
        env=site.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


def _listed(row: Any) -> dict[str, Any]:
    return {**_exact(row["listing"]), "remediation_summary": _exact(row["summary"])}


def _exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _dead(log: Sequence[Logged]) -> list[tuple[str, int, int, str]]:
    """Where each bad record of the log lies, and its reason."""
    found = []
    for each in log:
        alone: Platform = load([each.record])
        found += [(*each.partition, each.offset, letter.reason) for letter in alone.dead]
    return sorted(found)


def delivered(log: Sequence[Logged]) -> Counter[Any]:
    """How often each record lies in the log."""
    return Counter(each.record for each in log)
