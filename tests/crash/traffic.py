"""The producer: sends a history to the topics, whatever becomes of the broker meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer

from contracts.topics import MAX_MESSAGE_BYTES
from projector.writing.batch import Partition
from tests.crash.site import Site
from tests.histories.events import Draft
from tests.histories.generator import next_record
from tests.histories.world import World
from tests.reference import Record
from tests.stack.waiting import until

# A record waits for a broker that is away no less than any test keeps it away.
PATIENCE_MS = 180_000
BURST = 40
CHAPTER = 120

Ends = Mapping[Partition, int]
"""The position after the last record of each partition that has any."""


def story(seed: int) -> Iterator[Record]:
    """A history without end: one small world after the other, some incidents in all of them."""
    rng = Random(seed)
    for chapter in count():
        world = World.draw(rng)
        world.serial = chapter * CHAPTER  # ids of events are unique throughout
        drafts: list[Draft] = []
        yield from [next_record(world, drafts, bad=True) for _ in range(CHAPTER)]


class Traffic:
    """Records on their way; what the broker has confirmed."""

    def __init__(self, site: Site, producer: AIOKafkaProducer, records: Iterator[Record]) -> None:
        self.sent: Counter[Record] = Counter()
        """Every record handed to the producer, and how often."""
        self._site, self._producer, self._records = site, producer, records
        self._waiting: list[asyncio.Future[Any]] = []
        self._ends: dict[Partition, int] = {}

    async def send(self, number: int) -> None:
        for _ in range(number):
            record = next(self._records)
            self.sent[record] += 1
            key = None if record.key is None else record.key.encode()
            topic = self._site.topic(record.topic)
            self._waiting.append(await self._producer.send(topic, record.value, key=key))

    @asynccontextmanager
    async def flowing(self, rate: float) -> AsyncIterator[None]:
        """Send about `rate` records a second, in bursts, while the block runs."""

        async def flow() -> None:
            while True:
                await self.send(BURST)
                await asyncio.sleep(BURST / rate)

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(flow())
            yield
            sending.cancel()

    async def ends(self) -> Ends:
        """The ends of all partitions, every record having been confirmed.

        Those that the embedded broker would name lie low.
        """
        waiting, self._waiting = self._waiting, []
        for confirmed in await asyncio.gather(*waiting):
            here = Partition(confirmed.topic, confirmed.partition)
            self._ends[here] = max(self._ends.get(here, 0), confirmed.offset + 1)
        return self._ends

    async def drained(self) -> Ends:
        """Return the ends once every partition is read to its end."""
        ends = await self.ends()

        async def read_to_the_end() -> bool:
            found = await self._site.positions()
            return all(found.get(at, 0) >= end for at, end in ends.items())

        await until(read_to_the_end, 120, "every partition to be read to its end")
        return ends


@asynccontextmanager
async def traffic(site: Site, seed: int) -> AsyncIterator[Traffic]:
    producer = AIOKafkaProducer(
        bootstrap_servers=site.bootstrap,
        acks="all",
        enable_idempotence=site.is_apache,
        linger_ms=5,
        max_request_size=MAX_MESSAGE_BYTES,
        request_timeout_ms=PATIENCE_MS,
    )
    async with producer:
        yield Traffic(site, producer, story(seed))
