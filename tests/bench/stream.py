"""Events at a steady rate, and how long until the API shows one of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from contracts.topics import topic_name
from projector.kafka.publishing import HEADERS
from tests.bench.backlog import Backlog, events
from tests.bench.serving import Client, path

EVENTS_PER_SECOND: Final = 500

Ask = Callable[[Client, str], Awaitable[None]]
"""Returns once the API shows the record at this place."""


class Stream:
    """One history, sent at its rate; who samples takes the next event out of turn."""

    def __init__(self, producer: AIOKafkaProducer, prefix: str, seed: int) -> None:
        self._producer, self._prefix = producer, prefix
        self._events = events(None, seed)

    async def visible(self, client: Client, ask: Ask) -> None:
        place = await (await self._send())
        await ask(client, f"{place.topic}:{place.partition}:{place.offset}")

    async def flow(self) -> None:
        began, sent = time.monotonic(), 0
        while True:
            await self._send()
            sent += 1
            await asyncio.sleep(max(0.0, began + sent / EVENTS_PER_SECOND - time.monotonic()))

    async def _send(self) -> asyncio.Future[Any]:
        event = next(self._events)
        topic, key = topic_name(self._prefix, event.topic), event.key.encode()
        sent: asyncio.Future[Any]
        sent = await self._producer.send(topic, event.value, key=key, headers=HEADERS)
        return sent


@asynccontextmanager
async def flowing(backlog: Backlog, seed: int) -> AsyncIterator[Stream]:
    async with AIOKafkaProducer(bootstrap_servers=backlog.bootstrap, acks="all") as producer:
        stream = Stream(producer, backlog.prefix, seed)
        flow = asyncio.create_task(stream.flow())
        yield stream
        flow.cancel()


async def asked_again(client: Client, place: str) -> None:
    """Ask whether the view has the record, at once again while it has not."""
    while (await client.ask("GET", _path(place, wait_timeout=0)))[0] != 200:
        pass


async def held(client: Client, place: str) -> None:
    """Have the API hold its answer until the view has the record."""
    await client.get(_path(place, wait_timeout=10))


def _path(place: str, wait_timeout: int) -> str:
    return path("/v1/runs", {"per_page": 1, "wait_for": place, "wait_timeout": wait_timeout})
