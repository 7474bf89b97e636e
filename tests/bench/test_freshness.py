"""From a producer's send to the API's answer, while events come at a steady rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer

from contracts.topics import topic_name
from projector.demo.history import Generated
from projector.kafka.publishing import HEADERS
from projector.kafka.topics import create_topics
from projector.settings import ProjectorSettings
from tests.bench.backlog import Backlog, events
from tests.bench.databases import Fresh
from tests.bench.figures import Figures
from tests.bench.serving import Client, path, serving
from tests.bench.timing import Times
from tests.command import running

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

EVENTS_PER_SECOND: Final = 500
WARM_UP: Final = 0.25
"""Part of the time that is measured for which everything may get going before."""

Ask = Callable[[str], Awaitable[None]]


@pytest.mark.parametrize(
    ("broker_name", "seconds"),
    [
        pytest.param("the embedded broker", 2.0, id="quick"),
        pytest.param("the embedded broker", 15.0, id="embedded"),
        pytest.param("Apache Kafka", 15.0, id="apache"),
    ],
)
def test_freshness(
    figures: Figures,
    fresh: Fresh,
    *,
    bootstrap: str,
    broker_name: str,
    topic_prefix: str,
    seconds: float,
) -> None:
    measured = asyncio.run(_measure(fresh, bootstrap, topic_prefix, seconds))
    for how, times in measured.items():
        name = f"freshness at {EVENTS_PER_SECOND} events/s, {how}, {broker_name}"
        figures.add(f"{name}, p50", times.p50, "ms", None, len(times.all))
        figures.add(f"{name}, p99", times.p99, "ms", None, len(times.all))


async def _measure(fresh: Fresh, bootstrap: str, prefix: str, seconds: float) -> dict[str, Times]:
    async with fresh() as database_url:
        settings = ProjectorSettings(
            database_url=database_url, kafka_bootstrap=bootstrap, topic_prefix=prefix
        )
        await create_topics(settings, settings.partitions)
        variables = Backlog(bootstrap, prefix, 0, 0).variables(database_url, f"{prefix}group")
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        with running("projector", variables=variables) as worker:
            async with serving(database_url) as api, api.client() as client, producer:
                source = _Source(producer, prefix)
                coming = asyncio.create_task(source.flow())
                measured = {
                    "asked again and again": await _sample(source, _asking(client), seconds),
                    "held by wait_for": await _sample(source, _held(client), seconds),
                }
                coming.cancel()
            worker.terminate()
            await asyncio.to_thread(worker.wait, 30)
        return measured


class _Source:
    """One history, sent at its rate; who samples takes the next event out of turn."""

    def __init__(self, producer: AIOKafkaProducer, prefix: str) -> None:
        self._producer = producer
        self._prefix = prefix
        self._events: Iterator[Generated] = events(None)

    async def flow(self) -> None:
        """Send events at the rate until cancelled."""
        began = time.monotonic()
        sent = 0
        while True:
            await self.send()
            sent += 1
            await asyncio.sleep(max(0.0, began + sent / EVENTS_PER_SECOND - time.monotonic()))

    async def send(self) -> asyncio.Future[Any]:
        """Send the next event; its confirmation says where it is."""
        event = next(self._events)
        topic = topic_name(self._prefix, event.topic)
        sent: asyncio.Future[Any] = await self._producer.send(
            topic, event.value, key=event.key.encode(), headers=HEADERS
        )
        return sent


async def _sample(source: _Source, ask: Ask, seconds: float) -> Times:
    """Time events one after the other, after a while in which everything gets going."""
    times = Times()

    async def visible() -> None:
        place = await (await source.send())
        await ask(f"{place.topic}:{place.partition}:{place.offset}")

    warm = time.monotonic() + WARM_UP * seconds
    while time.monotonic() < warm:
        await visible()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await times.take(visible)
    return times


def _asking(client: Client) -> Ask:
    """Ask whether the view has the record, at once again while it has not."""

    async def ask(place: str) -> None:
        while await client.status(_path(place, wait_timeout=0)) != 200:
            pass

    return ask


def _held(client: Client) -> Ask:
    """Have the API hold its answer until the view has the record."""

    async def ask(place: str) -> None:
        assert await client.status(_path(place, wait_timeout=10)) == 200

    return ask


def _path(place: str, wait_timeout: int) -> str:
    asked = {"per_page": 1, "wait_for": place, "wait_timeout": wait_timeout}
    return path("/v1/runs", asked)
