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


@asynccontextmanager
async def flowing(
    backlog: Backlog, seed: int
) -> AsyncIterator[Callable[[Client, Ask], Awaitable[None]]]:
    """Send one history at its rate; yield what sends its next event and waits until it is shown."""
    history = events(None, seed)
    async with AIOKafkaProducer(bootstrap_servers=backlog.bootstrap, acks="all") as producer:

        async def send() -> Any:
            event = next(history)
            topic, key = topic_name(backlog.prefix, event.topic), event.key.encode()
            return await producer.send(topic, event.value, key=key, headers=HEADERS)

        async def visible(client: Client, ask: Ask) -> None:
            place = await (await send())
            await ask(client, f"{place.topic}:{place.partition}:{place.offset}")

        async def flow() -> None:
            began, sent = time.monotonic(), 0
            while True:
                await send()
                sent += 1
                await asyncio.sleep(max(0.0, began + sent / EVENTS_PER_SECOND - time.monotonic()))

        flows = asyncio.create_task(flow())
        yield visible
        flows.cancel()


async def asked_again(client: Client, place: str) -> None:
    """Ask whether the view has the record, at once again while it has not."""
    while (await client.ask("GET", _path(place, wait_timeout=0)))[0] != 200:
        pass


async def held(client: Client, place: str) -> None:
    """Have the API hold its answer until the view has the record."""
    await client.get(_path(place, wait_timeout=10))


def _path(place: str, wait_timeout: int) -> str:
    return path("/v1/runs", {"per_page": 1, "wait_for": place, "wait_timeout": wait_timeout})
