"""A list reads what it shows: the plans of its statements, under row-level security."""

import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import pytest
import pytest_asyncio

from api.auth import Bearer, Role
from api.database import open_pool
from api.parameters import Parameters
from api.problems import Problem
from api.queries import approvals, catalogue, runs
from api.queries.catalogue import EventParameters, RevisionKey, RevisionParameters
from api.queries.run_filter import RunParameters
from api.queries.runs import RUN_CURSORS, RunKey
from api.reading import AS_OF, Snapshot, Views
from contracts import buckets
from contracts.health import Outage
from projector.writing.counters import moments
from tests.applying import viewing

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNS = 20_000
PAGE = 20
VIEWER = frozenset({Role.VIEWER})
SEEN = {"all": None, "one": ("p1",), "three": ("p1", "p2", "nowhere")}
BEARERS = [Bearer(name, projects, VIEWER) for name, projects in SEEN.items()]
HOT = "INC-20260518-HOT00"

# Rows as the projector would make them, as far as the plans go.
FILL = f"""
    INSERT INTO run (run_id, project_id, state, status, created_at, version, incidents,
        listing, summary)
    SELECT gen_random_uuid(), 'p' || n % 5, (ARRAY['running', 'failed', 'completed'])[1 + n % 3],
        (ARRAY['blocked', 'observed', 'no_evidence', 'no_evidence'])[1 + n % 4],
        timestamptz '2026-05-18Z' + n * interval '97 s', 1,
        ARRAY[CASE WHEN n % 10 = 0 THEN '{HOT}' ELSE 'INC-20260518-' || n END],
        '{{"a":1}}', '{{"b":2}}'
    FROM generate_series(1, {RUNS}) n;
    INSERT INTO run_incident
    SELECT i, run_id, project_id, state, status, created_at FROM run, unnest(incidents) i;
    INSERT INTO run_counter
    SELECT level, bucket, project_id, state, status, 0, count(*)
    FROM run, LATERAL {moments(buckets.OF_RUNS)}
    GROUP BY level, bucket, project_id, state, status;
    INSERT INTO incident_counter
    SELECT incident, level, bucket, project_id, state, status, 0, count(*)
    FROM run_incident, LATERAL {moments(buckets.OF_INCIDENTS)}
    GROUP BY incident, level, bucket, project_id, state, status;
    INSERT INTO inbound (event_uuid, project_id, version, event_time, event_id, channel_type,
        received_at, title, title_en, incidents, detail, provider_event_id)
    SELECT run_id, project_id, 1, created_at, 'e', 'telegram', created_at, '', '', '{{}}', '{{}}',
        'tg:' || run_id
    FROM run;
    INSERT INTO contract_revision (revision_id, project_id, version, event_time, event_id,
        lifecycle_status, created_at, detail)
    SELECT run_id::text, project_id, 1, created_at, 'e',
        CASE WHEN random() < 0.001 THEN 'rare' ELSE 'active' END, created_at, '{{}}'
    FROM run;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(shared_url: str) -> str:
    await fill(shared_url, "VACUUM ANALYZE")
    return shared_url


@pytest_asyncio.fixture(loop_scope="module")
async def views(filled: str) -> AsyncIterator[Views]:
    async with open_pool(filled) as pool:
        yield Views(pool, Outage("database"))


async def fill(database_url: str, *then: str) -> None:
    async with viewing(database_url) as owner:
        for statement in (FILL, *then):
            await owner.execute(statement)


@dataclass(frozen=True, slots=True)
class Explained(Snapshot):
    """A snapshot that looks at the plan of what it is asked: of the prepared statement, which is
    planned once for all arguments.
    """

    nodes: list[dict[str, Any]] = field(default_factory=list)

    async def row(self, question: str, *arguments: object) -> asyncpg.Record | None:
        statement = AS_OF.replace("{question}", question)
        given = await self._literals(statement, arguments)
        name = f"q{blake2b(statement.encode(), digest_size=8).hexdigest()}"
        if not await self.connection.fetchval(IS_PREPARED, name):
            await self.connection.execute(f"PREPARE {name} AS {statement}")
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name} {given}"
        (plan,) = json.loads(await self.connection.fetchval(explain))
        self.nodes.extend(within(plan["Plan"]))
        return await self.connection.fetchrow(statement, *arguments)

    async def _literals(self, statement: str, arguments: Sequence[object]) -> str:
        prepared = await self.connection.prepare(statement)
        texts = [
            await self.connection.fetchval(f"SELECT quote_nullable($1::{kind.name}::text)", each)
            for kind, each in zip(prepared.get_parameters(), arguments, strict=True)
        ]
        return f"({', '.join(texts)})" if texts else ""


@asynccontextmanager
async def explaining(views: Views, bearer: Bearer) -> AsyncIterator[Explained]:
    async with views.snapshot(bearer) as snapshot:
        yield Explained(snapshot.connection, snapshot.generation, bearer)


def within(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", []):
        yield from within(each)


def read(nodes: list[dict[str, Any]], table: str) -> int:
    """How many rows were read of a table, all of them through an index."""
    total = 0
    for node in (node for node in nodes if node.get("Relation Name") == table):
        assert node["Node Type"] in {"Index Scan", "Index Only Scan"}, node
        rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        total += round(rows * node["Actual Loops"])
    return total


def fed(nodes: list[dict[str, Any]], kind: str) -> int:
    """The most rows that went into a node of this kind."""
    found = [node for node in nodes if kind in node["Node Type"]]
    return max((round(node["Plans"][0]["Actual Rows"]) for node in found), default=0)


IS_PREPARED: Final = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"
MOST_COUNTERS: Final = 300
"""Stored counts of one incident in a range of time, of which a thousand of its runs are."""

FROM, TO = datetime(2026, 5, 20, 3, 4, 5, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
WHERE: list[dict[str, Any]] = [
    {"state": states, "remediation_status": statuses, "incident_id": incident, **range_}
    for states, statuses, incident, range_ in itertools.product(
        [None, ["failed"]],
        [None, ["blocked", "observed"]],
        [None, HOT, "INC-20260518-NONE"],
        [{}, {"created_after": FROM, "created_before": TO}],
    )
]
MIDDLE = RunKey(datetime(2026, 5, 28, tzinfo=UTC), UUID(int=0))


OF_BEARERS = pytest.mark.parametrize("bearer", BEARERS, ids=lambda bearer: bearer.subject)


@OF_BEARERS
async def test_the_run_list_reads_no_more_than_its_page(views: Views, bearer: Bearer) -> None:
    for where, part in itertools.product(WHERE, ("first", "third", "after a cursor")):
        cursor = RUN_CURSORS.after(MIDDLE, RunParameters(**where).bound())
        place: dict[str, Any] = {"first": {}, "third": {"page": 3}}.get(part, {"cursor": cursor})
        chosen = RunParameters(per_page=PAGE, **where, **place)
        async with explaining(views, bearer) as explained:
            page, _ = await runs.page(explained, chosen)
        keys = chosen.offset + PAGE + 1
        ranges = len(bearer.projects or "1") * (12 if chosen.is_by_status else 1)
        # The rows of the page, its keys in every range, and the parts of an hour of the total.
        edges = 2 * 1800 // 97 if chosen.created_after else 0
        assert read(explained.nodes, "run") <= PAGE + ranges * keys + edges, chosen
        assert fed(explained.nodes, "Sort") <= max(ranges * keys, 60), chosen
        assert page["total"] >= 0
        # An incident's links are passed over where they are not chosen, and never counted.
        links = RUNS // 10 if chosen.incident_id == HOT else 0
        assert read(explained.nodes, "run_incident") <= links + edges, chosen
        if chosen.incident_id is not None:
            assert fed(explained.nodes, "Aggregate") <= MOST_COUNTERS, chosen


# What the planner knows of the tables stays as it was, and so do its plans.
AUTOVACUUM_OFF = "; ".join(
    f"ALTER TABLE {table} SET (autovacuum_enabled = off)"
    for table in ("run", "run_incident", "run_counter", "incident_counter")
)
ANALYZED = """
    SELECT count(*) FROM pg_stat_user_tables
    WHERE schemaname = 'g_main' AND relname ~ '^(run|incident)'
        AND analyze_count + autoanalyze_count > 0
"""


async def test_plans_made_for_empty_views_are_good_for_any(database_url: str) -> None:
    async with viewing(database_url) as owner, open_pool(database_url) as pool:
        await owner.execute(AUTOVACUUM_OFF)
        views, bearer = Views(pool, Outage("database")), BEARERS[0]
        await test_the_run_list_reads_no_more_than_its_page(views, bearer)
        await fill(database_url)
        assert pool.get_size() == 1
        await test_the_run_list_reads_no_more_than_its_page(views, bearer)
        assert await owner.fetchval(ANALYZED) == 0


@OF_BEARERS
async def test_other_lists_read_no_more_than_their_page(views: Views, bearer: Bearer) -> None:
    ranges = len(bearer.projects or "1")
    places = (None, RevisionKey(MIDDLE.created_at, "x"))
    for status, after in itertools.product((None, "active", "rare", "none"), places):
        async with explaining(views, bearer) as explained:
            bound = RevisionParameters(lifecycle_status=status).bound()
            cursor = after and catalogue.REVISION_CURSORS.after(after, bound)
            asked = RevisionParameters(lifecycle_status=status, limit=PAGE, cursor=cursor)
            await catalogue.revisions(explained, asked)
        assert read(explained.nodes, "contract_revision") <= PAGE + ranges * (PAGE + 1)
    for channel in (None, "telegram", "none"):
        async with explaining(views, bearer) as explained:
            events = EventParameters(channel_type=channel, limit=PAGE)
            await catalogue.channel_events(explained, events)
        assert read(explained.nodes, "inbound") <= ranges * PAGE


async def test_one_thing_is_found_by_its_key_and_a_page_after_the_last_reads_nothing(
    views: Views,
) -> None:
    async with explaining(views, BEARERS[0]) as explained:
        some = await explained.connection.fetchval("SELECT min(provider_event_id) FROM inbound")
        with pytest.raises(Problem, match="no such command"):
            await approvals.command(explained, Parameters(), str(UUID(int=1)))
        found, _ = await catalogue.channel_events(explained, EventParameters(provider_prefix=some))
        page, _ = await runs.page(explained, RunParameters(page=10 * RUNS // PAGE, per_page=PAGE))
    assert (found["total"], orjson.dumps(page["runs"]), page["total"]) == (1, b"[]", RUNS)
    tables = ("run_fact", "inbound", "run")
    assert [read(explained.nodes, table) for table in tables] == [0, 1, 0]
