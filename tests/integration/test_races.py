"""Two transactions that each hold half of what a run says, in every order that matters.

One is held open at an instant of its life while the other runs: before it computes anything (its
facts are stored, nobody can see them), or after (all is written, nothing committed). Whichever
comes second must see what the first has stored.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import asyncpg
import pytest
import pytest_asyncio

from projector.writing import transaction
from projector.writing.recompute import recompute
from tests.applying import Worker, workers
from tests.property.bench import EMPTY
from tests.records import FakeRecord, record
from tests.reference import Record, load, run_list
from tests.stack.waiting import until
from tests.unit.event_samples import OTHER, as_bytes, least
from tests.unit.event_samples import RUN as RUN_ID

pytestmark = pytest.mark.asyncio(loop_scope="module")

INCIDENT = "INC-20260518-AB12"
Instant = Literal["before it computes", "before it commits"]
Fact = tuple[str, dict[str, Any]]


def fact(suffix: str, **fields: Any) -> Fact:
    return suffix, least(suffix, **fields)


OTHER_INCIDENT = "INC-20260518-ZZ99"
RUN = fact("run-state", trigger_ref="tg:1")
RUN_OF_EVENT = fact("run-state", trigger_ref=OTHER.upper())
RUN_WITH_INCIDENT = fact("run-state", error_detail=f"see {INCIDENT}")
RUN_WITH_TWO = fact("run-state", error_detail=f"see {INCIDENT} and {OTHER_INCIDENT}")
WAITING = fact("run-state", state="waiting_approval")
INBOUND = fact("conversation-event", provider_event_id="tg:1", content_preview=f"see {INCIDENT}")
INBOUND_OF_RUN = fact("conversation-event", run_id=RUN_ID, content_preview=INCIDENT)
OUTBOUND = fact("outbound-message", content_preview=INCIDENT)
EVIDENCE = fact("remediation-evidence", id=1)
MORE_EVIDENCE = fact("remediation-evidence", id=2, created_at="2026-05-19T00:00:00Z")
OTHER_EVIDENCE = fact("remediation-evidence", id=3, incident_id=OTHER_INCIDENT)
LEGACY = fact("mcp-legacy-audit", incident_id=INCIDENT, success=True)
DECISION = fact("approval-command", run_version=0)

RACES: dict[str, tuple[list[Fact], Fact, Fact]] = {
    "run and evidence": ([], RUN_WITH_INCIDENT, EVIDENCE),
    "run and legacy record": ([], RUN_WITH_INCIDENT, LEGACY),
    "run and inbound by provider id": ([EVIDENCE], RUN, INBOUND),
    "run and inbound by event id": ([EVIDENCE], RUN_OF_EVENT, INBOUND),
    "run and inbound by run id": ([EVIDENCE], RUN, INBOUND_OF_RUN),
    "run and outbound": ([EVIDENCE], RUN, OUTBOUND),
    "run and decision": ([], WAITING, DECISION),
    "two evidence events": ([RUN_WITH_INCIDENT], EVIDENCE, MORE_EVIDENCE),
    "evidence of two kinds": ([RUN_WITH_INCIDENT], EVIDENCE, LEGACY),
    "evidence of two incidents": ([RUN_WITH_TWO], EVIDENCE, OTHER_EVIDENCE),
    "inbound and outbound": ([RUN, EVIDENCE], INBOUND, OUTBOUND),
    "inbound and evidence": ([RUN], INBOUND, EVIDENCE),
    "outbound and evidence": ([RUN], OUTBOUND, EVIDENCE),
}


WAITING_FOR_A_LOCK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Gate:
    """Holds the first transaction that comes by at one instant until it is opened."""

    def __init__(self, instant: Instant) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        self._instant = instant

    async def recompute(self, *arguments: Any) -> dict[str, str]:
        first = not self.reached.is_set()
        if first and self._instant == "before it computes":
            await self._hold()
        changed = await recompute(*arguments)
        if first and self._instant == "before it commits":
            await self._hold()
        return changed

    async def _hold(self) -> None:
        self.reached.set()
        await self.open.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crew(shared_url: str) -> AsyncIterator[list[Worker]]:
    async with workers(shared_url, 2) as two:
        yield two


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def emptied(owner: asyncpg.Connection) -> None:
    await owner.execute(EMPTY)


def numbered(facts: list[Fact]) -> list[FakeRecord]:
    """Records of these facts, each in a partition of its own."""
    return [record(suffix, 0, event, partition=n) for n, (suffix, event) in enumerate(facts)]


@pytest.mark.parametrize("instant", ["before it computes", "before it commits"])
@pytest.mark.parametrize("swapped", [False, True], ids=["in order", "swapped"])
@pytest.mark.parametrize("race", RACES)
async def test_whoever_is_second_sees_the_first(
    crew: list[Worker],
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    race: str,
    *,
    swapped: bool,
    instant: Instant,
) -> None:
    before, one, other = RACES[race]
    facts = [*before, *((other, one) if swapped else (one, other))]
    *earlier, first, second = numbered(facts)
    for each in earlier:
        await crew[0].own([each])
        await crew[0].poll([each])
    gate = Gate(instant)
    monkeypatch.setattr(transaction, "recompute", gate.recompute)
    await crew[0].own([first])
    await crew[1].own([second])
    held = asyncio.create_task(crew[0].poll([first]))
    await gate.reached.wait()
    passing = asyncio.create_task(crew[1].poll([second]))

    async def past_or_waiting() -> bool:
        return passing.done() or bool(await owner.fetchval(WAITING_FOR_A_LOCK))

    await until(past_or_waiting, 10, "the second transaction to end or to wait")
    gate.open.set()
    await asyncio.gather(held, passing)

    platform = load(Record(suffix, None, as_bytes(event)) for suffix, event in facts)
    (expected,) = run_list(platform)
    row = await owner.fetchrow("SELECT listing, summary, decision FROM run")
    assert row is not None
    listed = json.loads(row["listing"]) | {"remediation_summary": json.loads(row["summary"])}
    assert listed == json.loads(json.dumps(expected, default=float))
    assert (row["decision"] is not None) == (DECISION in facts)
