"""The producer: sends a history to the topics, whatever becomes of the broker meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from contracts.topics import MAX_MESSAGE_BYTES
from projector.writing.batch import Partition
from tests.crash.site import Site
from tests.reference import Record

# A record waits for a broker that is away no less than any test keeps it away.
PATIENCE_MS = 180_000
BURST = 40


class Traffic:
    """Records on their way; what the broker has confirmed."""

    def __init__(self, site: Site, producer: AIOKafkaProducer, records: Iterator[Record]) -> None:
        self.sent: Counter[Record] = Counter()
        """Every record handed to the producer, and how often."""
        self._site = site
        self._producer = producer
        self._records = records
        self._waiting: list[asyncio.Future[Any]] = []
        self._ends: dict[Partition, int] = {}

    async def send(self, number: int) -> None:
        """Hand over the next records of the history."""
        for _ in range(number):
            record = next(self._records)
            self.sent[record] += 1
            self._waiting.append(
                await self._producer.send(
                    self._site.topic(record.topic),
                    record.value,
                    key=None if record.key is None else record.key.encode(),
                )
            )

    async def flow(self, rate: float) -> None:
        """Send about `rate` records a second, in bursts, until cancelled."""
        while True:
            await self.send(BURST)
            await asyncio.sleep(BURST / rate)

    async def ends(self) -> dict[Partition, int]:
        """The position after the last record of each partition, all having been confirmed."""
        waiting, self._waiting = self._waiting, []
        for confirmed in await asyncio.gather(*waiting):
            here = Partition(confirmed.topic, confirmed.partition)
            self._ends[here] = max(self._ends.get(here, 0), confirmed.offset + 1)
        return self._ends


@asynccontextmanager
async def traffic(
    site: Site, records: Iterator[Record], *, idempotent: bool
) -> AsyncIterator[Traffic]:
    """A producer of these records while the block runs."""
    producer = AIOKafkaProducer(
        bootstrap_servers=site.bootstrap,
        acks="all",
        enable_idempotence=idempotent,
        linger_ms=5,
        max_request_size=MAX_MESSAGE_BYTES,
        request_timeout_ms=PATIENCE_MS,
    )
    await producer.start()
    try:
        yield Traffic(site, producer, records)
    finally:
        await producer.stop()


@asynccontextmanager
async def flowing(traffic: Traffic, rate: float) -> AsyncIterator[None]:
    """Records flow while the block runs. Raises what kept one from being sent."""
    task = asyncio.create_task(traffic.flow(rate))
    try:
        yield
        assert not task.done(), "the producer has ended early"
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
