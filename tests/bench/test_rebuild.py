"""A rebuild of the whole history: alone, and beside a worker that keeps the live views fresh."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaProducer

from contracts.topics import topic_name
from projector.demo.history import Generated, history
from projector.kafka.publishing import HEADERS
from tests.bench.backlog import Backlog, fill
from tests.bench.databases import Fresh
from tests.bench.draining import copy_raw
from tests.bench.figures import Figures, Reference
from tests.bench.serving import Client, path, serving
from tests.bench.timing import Times
from tests.command import running
from tests.stack.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

FULL: Final = 500_000
QUICK: Final = 10_000
EVENTS_PER_SECOND: Final = 500
MOST_BYTES: Final = 500_000_000
MOST_P99_MS: Final = 1000
WARM_UP_S: Final = 5.0

SPENT: Final = """
    SELECT extract(epoch FROM g.activated_at - r.started_at)::float8
    FROM runfold.generation AS g
    JOIN runfold.rebuild AS r ON r.generation = g.name
    WHERE g.name = $1
"""

Sample = Callable[[], Awaitable[None]]


@pytest.mark.parametrize(
    ("broker_name", "many"),
    [
        pytest.param("the embedded broker", QUICK, id="quick"),
        pytest.param("Apache Kafka", FULL, id="apache"),
    ],
)
async def test_rebuild(
    figures: Figures,
    fresh: Fresh,
    *,
    bootstrap: str,
    broker_name: str,
    topic_prefix: str,
    many: int,
) -> None:
    backlog = await fill(bootstrap, topic_prefix, many)
    async with fresh() as database_url:
        floor = Reference("floor", copy_raw(backlog, database_url))
    async with fresh() as database_url:
        variables = backlog.variables(database_url, f"{topic_prefix}group")
        seconds, most = await _rebuild(variables, "alone", _nothing)
        assert most < MOST_BYTES
        figures.add(f"rebuild, {broker_name}", many / seconds, "events/s", floor, many)
        figures.add(f"memory of a process of it, {broker_name}", most / 1e6, "MB")
        if many == QUICK:
            return
        async with _live(backlog, database_url, variables) as visible:
            times = Times()
            warm = time.monotonic() + WARM_UP_S
            while time.monotonic() < warm:
                await visible()
            seconds, most = await _rebuild(variables, "beside", lambda: times.take(visible))
        assert most < MOST_BYTES
        beside = f"beside {EVENTS_PER_SECOND} live events/s, {broker_name}"
        figures.add(f"rebuild {beside}", many / seconds, "events/s", None, many)
        figures.add(f"freshness during a rebuild {beside}, p50", times.p50, "ms", None)
        figures.add(f"freshness during a rebuild {beside}, p99", times.p99, "ms", None)
        assert times.p99 < MOST_P99_MS


async def _nothing() -> None:
    await asyncio.sleep(0.1)


async def _rebuild(variables: Mapping[str, str], name: str, meanwhile: Sample) -> tuple[float, int]:
    """Rebuild; return the seconds to the swap and the most bytes one of its processes held."""
    with running("rebuild", "--name", name, variables=variables) as process:
        most = 0
        while process.poll() is None:
            most = max(most, _most_bytes(process))
            await meanwhile()
        said = process.communicate()[1].decode()
    assert process.returncode == 0, said
    connection = await asyncpg.connect(variables["RUNFOLD_DATABASE_URL"])
    try:
        return float(await connection.fetchval(SPENT, name)), most
    finally:
        await connection.close()


def _most_bytes(process: subprocess.Popen[bytes]) -> int:
    most = 0
    try:
        parent = psutil.Process(process.pid)
        for each in (parent, *parent.children(recursive=True)):
            most = max(most, each.memory_info().rss)
    except psutil.NoSuchProcess:
        return most
    return most


@asynccontextmanager
async def _live(
    backlog: Backlog, database_url: str, variables: Mapping[str, str]
) -> AsyncIterator[Sample]:
    """A worker, an API and a steady stream; gives what returns when one more event is visible."""
    source = history(2, None, datetime(2026, 6, 18, 6, tzinfo=UTC))
    async with AIOKafkaProducer(bootstrap_servers=backlog.bootstrap, acks="all") as producer:

        async def send(events: Iterator[Generated]) -> asyncio.Future[object]:
            event = next(events)
            topic = topic_name(backlog.prefix, event.topic)
            sent: asyncio.Future[object] = await producer.send(
                topic, event.value, key=event.key.encode(), headers=HEADERS
            )
            return sent

        async def flow() -> None:
            began, sent = time.monotonic(), 0
            while True:
                await send(source)
                sent += 1
                await asyncio.sleep(max(0.0, began + sent / EVENTS_PER_SECOND - time.monotonic()))

        with running("projector", variables=variables) as worker:
            async with serving(database_url) as api, api.client() as client:
                await until(lambda: _is_ready(client), 60, "a worker that has caught up")
                coming = asyncio.create_task(flow())

                async def visible() -> None:
                    place = await (await send(source))
                    await _seen(client, place)

                yield visible
                coming.cancel()
            worker.terminate()
            await asyncio.to_thread(worker.wait, 30)


async def _is_ready(client: Client) -> bool:
    return await client.status("/readyz") == 200


async def _seen(client: Client, place: object) -> None:
    where = f"{place.topic}:{place.partition}:{place.offset}"  # type: ignore[attr-defined]
    asked = {"per_page": 1, "wait_for": where, "wait_timeout": 10}
    assert await client.status(path("/v1/runs", asked)) == 200
