"""The run list through the API, against joins over normalised tables and against fewer runs."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import combinations
from json import loads
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from api.auth import Bearer, Role
from api.database import SESSION
from api.queries import runs
from api.queries.run_filter import RunParameters
from api.queries.runs import RunKey
from api.reading import Snapshot, enter
from tests.bench import multiplied, normalised
from tests.bench.backlog import Fresh
from tests.bench.figures import Figures, Reference
from tests.bench.serving import Api, Client, path, serving
from tests.bench.timing import Times, per_second, timed

pytestmark = [pytest.mark.bench, pytest.mark.timeout(2400)]

CLIENTS: Final = 8
PER_PAGE: Final = 50
OPERATOR: Final = Bearer("bench", None, frozenset({Role.OPERATOR}))
DEEP: Final = 1_000
"""Pages that come before a deep one, where there are as many."""

# A run about which much can be asked: whatever is combined finds at least this one. Neither end
# of the range is at a whole minute, so that all kinds of counts are added up.
EXAMPLE: Final = """
    SELECT ARRAY[project_id] AS project_id, ARRAY[state] AS state,
        ARRAY[status] AS remediation_status, incidents[1] AS incident_id,
        created_at - interval '97 days 3:07:11' AS created_after,
        created_at + interval '60 days 5:00:17' AS created_before
    FROM run
    WHERE status NOT IN ('no_evidence', 'mcp_observed') AND state = 'completed'
        AND created_at >= (SELECT percentile_disc(0.7) WITHIN GROUP (ORDER BY created_at) FROM run)
    ORDER BY created_at
    LIMIT 1
"""
FILTERS: Final = {
    "project": ["project_id"],
    "state": ["state"],
    "status": ["remediation_status"],
    "incident": ["incident_id"],
    "range": ["created_after", "created_before"],
}
"""The parameters that each sets."""


@dataclass(frozen=True, slots=True)
class Size:
    runs_a_day: int
    days: int
    few_days: int
    times: int
    """Measurements of each request through the API."""
    seconds: float
    """For joins of each request, and for each throughput."""
    processes: int
    """Of the API, whose throughput is measured besides that of one."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    filters: tuple[str, ...]
    where: RunParameters
    url: str
    after: RunKey | None = None
    """The row before a deep page; None for the first page."""

    @property
    def name(self) -> str:
        return " + ".join(self.filters) or "no filter"


SIZES = [
    pytest.param(Size(100, days=20, few_days=2, times=5, seconds=0.3, processes=1), id="quick"),
    pytest.param(Size(1_000, days=500, few_days=5, times=200, seconds=3, processes=2), id="full"),
]


@pytest.mark.parametrize("size", SIZES)
async def test_lists(figures: Figures, fresh: Fresh, size: Size) -> None:
    async with fresh() as database_url:
        await multiplied.multiply(database_url, size.few_days, size.runs_a_day)
        async with serving(database_url) as api, api.client() as client:
            get = partial(client.get, path("/v1/runs", {"per_page": PER_PAGE}))
            few = (await timed(get, size.times)).p50
    async with fresh() as database_url, AsyncExitStack() as stack:
        await multiplied.multiply(database_url, size.days, size.runs_a_day)
        connection = await asyncpg.connect(database_url)
        await connection.execute("SET jit = off; SET search_path = g_main")
        apis = [await stack.enter_async_context(serving(database_url))]
        client = await stack.enter_async_context(apis[0].client())
        lists = _Lists(figures, size, client)
        first = await _first_pages(connection)
        taken = await lists.through("first page", first)
        few_runs = Reference(f"{size.few_days * size.runs_a_day:,} runs", few)
        many = f"{size.days * size.runs_a_day:,} runs"
        taken |= await lists.through("deep page", await _deep_pages(client, first))
        figures.add(f"run list of {many}, p50", taken[first[0]].p50, "ms", few_runs, size.times)
        async with asyncpg.create_pool(database_url, server_settings=SESSION) as pool:
            await lists.alone(pool, first)
            while len(apis) < size.processes:
                apis.append(await stack.enter_async_context(serving(database_url)))
            of_project = next(each for each in first if each.filters == ("project",))
            await lists.throughput(pool, apis, of_project)
        figures.add("memory of the API", apis[0].process.memory_info().rss / 1e6, "MB")
        await lists.against_joins(connection, taken)
        await connection.close()


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


async def _first_pages(connection: asyncpg.Connection) -> list[Asked]:
    """Every combination of the filters, the one without any first."""
    example = await connection.fetchrow(EXAMPLE)
    assert example is not None
    found = []
    for many in range(len(FILTERS) + 1):
        for chosen in combinations(FILTERS, many):
            names = [name for each in chosen for name in FILTERS[each]]
            query = {name: _text(example[name]) for name in names} | {"per_page": PER_PAGE}
            where = RunParameters(per_page=PER_PAGE, **{name: example[name] for name in names})
            found.append(Asked(chosen, where, path("/v1/runs", query)))
    return found


async def _deep_pages(client: Client, asked: Sequence[Asked]) -> list[Asked]:
    """The same filters 1,000 pages on; those that find fewer have their last full page."""
    found = []
    for each in asked:
        total = loads(await client.get(each.url))["total"]
        page = min(DEEP, total // PER_PAGE - 1)
        if page >= 1:
            before = loads(await client.get(f"{each.url}&page={page}"))
            last, cursor = before["runs"][-1], before["next_cursor"]
            after = RunKey(datetime.fromisoformat(last["created_at"]), UUID(last["run_id"]))
            found.append(Asked(each.filters, each.where, f"{each.url}&cursor={cursor}", after))
    return found


@dataclass(frozen=True, slots=True)
class _Lists:
    figures: Figures
    size: Size
    client: Client

    async def through(self, which: str, asked: Sequence[Asked]) -> dict[Asked, Times]:
        times = self.size.times
        taken = {each: await timed(partial(self.client.get, each.url), times) for each in asked}
        worst = max(asked, key=lambda each: taken[each].p99)
        name = f"run list, {which}, p99 of the slowest of {len(asked)} combinations of filters"
        self.figures.add(f"{name} ({worst.name})", taken[worst].p99, "ms", None, times)
        return taken

    async def alone(self, pool: asyncpg.Pool, asked: Sequence[Asked]) -> None:
        """The slowest p99 of the statements alone, without HTTP."""
        taken = [await timed(partial(_ask, pool, each), self.size.times) for each in asked]
        name = "run list, first page, p99 of the slowest combination, SQL alone"
        self.figures.add(name, max(each.p99 for each in taken), "ms", None, self.size.times)

    async def throughput(self, pool: asyncpg.Pool, apis: Sequence[Api], asked: Asked) -> None:
        """Requests a second of one process of the API, and of all."""
        asks = [partial(_ask, pool, asked)] * CLIENTS
        reference = Reference("SQL alone", (await per_second(asks, self.size.seconds))[0])
        for many in sorted({1, len(apis)}):
            async with AsyncExitStack() as stack:
                clients = [apis[number % many].client() for number in range(CLIENTS)]
                opened = [await stack.enter_async_context(each) for each in clients]
                gets = [partial(each.get, asked.url) for each in opened]
                # connections and plans are made once
                await asyncio.gather(*(get() for get in gets))
                rate, calls = await per_second(gets, self.size.seconds)
            name = f"run list of a project, {CLIENTS} clients"
            name += f", {many} processes of the API" if many > 1 else ""
            self.figures.add(name, rate, "requests/s", reference, calls)

    async def against_joins(
        self, connection: asyncpg.Connection, taken: dict[Asked, Times]
    ) -> None:
        """Ask both for the same pages: the answers must be equal."""
        await normalised.create(connection)
        for each, times in taken.items():
            if len(each.filters) in {0, 1, len(FILTERS)}:
                await self._compare(connection, each, times, is_indexed=False)
        await normalised.index_texts(connection)
        for each, times in taken.items():
            if each.filters == ("incident",):
                await self._compare(connection, each, times, is_indexed=True)

    async def _compare(
        self, connection: asyncpg.Connection, asked: Asked, taken: Times, *, is_indexed: bool
    ) -> None:
        about = asked.where, asked.after, PER_PAGE
        page = partial(normalised.page, connection, *about, is_indexed=is_indexed)
        answer = loads(await self.client.get(asked.url), parse_float=Decimal)
        listed, total = await page()
        assert answer["total"] == total, asked.name
        assert [*map(_plain, answer["runs"])] == [*map(_plain, listed)], asked.name
        times = await timed(page, self.size.times, at_most_s=self.size.seconds)
        name = f"run list, {asked.name}, {'deep' if asked.after else 'first'} page, p50"
        reference = Reference("joins, texts indexed" if is_indexed else "joins", times.p50)
        self.figures.add(name, taken.p50, "ms", reference, len(taken))


async def _ask(pool: asyncpg.Pool, asked: Asked) -> None:
    """Do what one request for a first page does in the database."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        generation = await enter(connection, OPERATOR)
        await runs.page(Snapshot(connection, generation, OPERATOR), asked.where)


def _plain(run: dict[str, Any]) -> dict[str, Any]:
    return run | {"cost_usd": float(run["cost_usd"])}
