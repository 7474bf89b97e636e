"""The run list through the API, against joins over normalised tables and against fewer runs."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import cycle
from json import loads

import asyncpg
import pytest

from tests.bench import multiplied, normalised, statements
from tests.bench.asked import Asked, deep_pages, first_pages, singles
from tests.bench.databases import Fresh
from tests.bench.figures import Figures, Reference
from tests.bench.normalised import Lists
from tests.bench.serving import Api, Client, path, serving
from tests.bench.timing import Times, per_second, timed

pytestmark = [pytest.mark.bench, pytest.mark.timeout(2400)]

CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    runs_a_day: int
    days: int
    few_days: int
    times: int
    """Measurements of each request through the API."""
    seconds: float
    """For joins of each request, and for each throughput."""
    processes: int
    """Of the API, whose throughput is measured besides that of one."""


SIZES = [
    pytest.param(Size(100, days=20, few_days=2, times=5, seconds=0.3, processes=1), id="quick"),
    pytest.param(Size(1_000, days=500, few_days=5, times=200, seconds=3, processes=2), id="full"),
]


@pytest.mark.parametrize("size", SIZES)
def test_lists(figures: Figures, fresh: Fresh, size: Size) -> None:
    asyncio.run(_Lists(figures, fresh, size).measure())


class _Lists:
    def __init__(self, figures: Figures, fresh: Fresh, size: Size) -> None:
        self._figures, self._fresh, self._size = figures, fresh, size
        self._few = f"{size.few_days * size.runs_a_day:,} runs"
        self._many = f"{size.days * size.runs_a_day:,} runs"

    async def measure(self) -> None:
        async with self._fresh() as database_url:
            few = await self._p50_of_few(database_url)
        async with self._fresh() as database_url:
            await multiplied.multiply(database_url, self._size.days, self._size.runs_a_day)
            connection = await asyncpg.connect(database_url)
            await connection.execute("SET jit = off; SET search_path = g_main")
            first = await first_pages(connection)
            deep = await deep_pages(connection, first)
            async with serving(database_url) as api:
                async with api.client() as client:
                    taken_first = await self._through(client, first)
                    taken_deep = await self._through(client, deep)
                self._worst("first page", taken_first)
                self._worst("deep page", taken_deep)
                p50 = taken_first[first[0]].p50
                reference = Reference(self._few, few)
                self._add(f"run list of {self._many}, p50", p50, reference, self._size.times)
                await self._alone(database_url, first)
                async with AsyncExitStack() as stack:
                    apis = [api]
                    while len(apis) < self._size.processes:
                        apis.append(await stack.enter_async_context(serving(database_url)))
                    await self._throughput(database_url, apis, first)
                self._figures.add("memory of the API", api.resident_bytes / 1e6, "MB")
                await self._against_joins(connection, api, taken_first | taken_deep)
            await connection.close()

    async def _p50_of_few(self, database_url: str) -> float:
        await multiplied.multiply(database_url, self._size.few_days, self._size.runs_a_day)
        async with serving(database_url) as api, api.client() as client:
            get = partial(client.get, path("/v1/runs", {"per_page": 50}))
            return (await timed(get, self._size.times)).p50

    async def _through(self, client: Client, asked: Iterable[Asked]) -> dict[Asked, Times]:
        """Times of requests at one client."""
        return {
            each: await timed(partial(client.get, url(each)), self._size.times) for each in asked
        }

    def _worst(self, which: str, taken: dict[Asked, Times]) -> None:
        asked = max(taken, key=lambda each: taken[each].p99)
        times, name = taken[asked], f"of {len(taken)} combinations of filters ({asked.name})"
        self._add(f"run list, {which}, p99 of the slowest {name}", times.p99, None, len(times.all))

    async def _alone(self, database_url: str, first: list[Asked]) -> None:
        """The slowest p99 of the statements alone, without HTTP."""
        connection = await statements.connect(database_url)
        slowest = 0.0
        for each in first:
            ask = partial(statements.ask, connection, *await statements.of_page(each))
            slowest = max(slowest, (await timed(ask, self._size.times)).p99)
        await connection.close()
        name = "run list, first page, p99 of the slowest combination, SQL alone"
        self._add(name, slowest, None, self._size.times)

    async def _throughput(self, database_url: str, apis: list[Api], first: list[Asked]) -> None:
        """Requests a second of one process of the API, and of all."""
        by_project = next(each for each in first if each.filters == ("project",))
        connections = [await statements.connect(database_url) for _ in range(CLIENTS)]
        statement = await statements.of_page(by_project)
        asks = [partial(statements.ask, each, *statement) for each in connections]
        alone, _ = await per_second([*asks], self._size.seconds)
        for connection in connections:
            await connection.close()
        reference = Reference("SQL alone", alone)
        for many in sorted({1, len(apis)}):
            rate, calls = await self._requests(apis[:many], url(by_project))
            name = f"run list of a project, {CLIENTS} clients"
            if many > 1:
                name += f", {many} processes of the API"
            self._figures.add(name, rate, "requests/s", reference, calls)

    async def _requests(self, apis: list[Api], what: str) -> tuple[float, int]:
        """Requests a second of clients that are shared out, and how many were made."""
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(api.client())
                for api, _ in zip(cycle(apis), range(CLIENTS), strict=False)
            ]
            gets = [partial(each.get, what) for each in clients]
            await asyncio.gather(*(get() for get in gets))  # connections and plans are made once
            return await per_second([*gets], self._size.seconds)

    async def _against_joins(
        self, connection: asyncpg.Connection, api: Api, taken: dict[Asked, Times]
    ) -> None:
        await normalised.create(connection)
        joins = Lists(connection)
        for each in singles([*taken]):
            await self._compare(api, joins, each, taken[each], design="joins")
        await normalised.index_texts(connection)
        joins = Lists(connection, is_indexed=True)
        for each, times in taken.items():
            if each.filters == ("incident",):
                await self._compare(api, joins, each, times, design="joins, texts indexed")

    async def _compare(
        self, api: Api, joins: Lists, asked: Asked, taken: Times, *, design: str
    ) -> None:
        """Ask both for the same page: the answers must be equal."""
        async with api.client() as client:
            answer = loads(await client.get(url(asked)), parse_float=Decimal)
        runs, total = await joins.page(asked.where, asked.after, 50)
        assert (answer["total"], len(answer["runs"])) == (total, len(runs)), asked.name
        assert [_plain(each) for each in answer["runs"]] == [_plain(each) for each in runs]
        page = partial(joins.page, asked.where, asked.after, 50)
        times = await timed(page, self._size.times, at_most_s=self._size.seconds)
        which = "first page" if asked.after is None else "deep page"
        reference = Reference(f"{design}", times.p50)
        self._add(f"run list, {asked.name}, {which}, p50", taken.p50, reference, len(taken.all))

    def _add(self, name: str, ms: float, reference: Reference | None, samples: int) -> None:
        self._figures.add(name, ms, "ms", reference, samples)


def url(asked: Asked) -> str:
    return path("/v1/runs", asked.query)


def _plain(run: dict[str, object]) -> dict[str, object]:
    return run | {"cost_usd": float(str(run["cost_usd"]))}
