"""Kafka consumers that read what they are told to: without a group, committing nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.health import Outage
from contracts.settings import KafkaSettings, kafka_connection

Offsets: TypeAlias = dict[TopicPartition, int]


SILENT_SECONDS: Final = 10.0
"""How long the broker may bring nothing of what it has before that is told."""


class Silence:
    """Tells when the broker brings none of the records that it has, and when it does again.

    The Kafka client waits for a broker that is away without a word.
    """

    def __init__(self) -> None:
        self._broker = Outage("broker")
        self._since: float | None = None
        """When a poll brought nothing for the first time since one brought something."""

    def polled(self, *, found: bool) -> None:
        """Take note of whether a poll brought records, while there are some to come."""
        if found:
            self._since = None
            self._broker.over()
            return
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since >= SILENT_SECONDS:
            self._broker.failed(f"it has sent no record for {now - self._since:.0f} s")


@asynccontextmanager
async def log_reader(
    settings: KafkaSettings, client_id: str, **options: Any
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of committed records for as long as the block runs, assigned to nothing yet.

    Raises `KafkaError` when the broker cannot be reached.
    """
    kafka = AIOKafkaConsumer(
        **kafka_connection(settings),
        client_id=client_id,
        enable_auto_commit=False,
        isolation_level="read_committed",
        # an offset that is gone is no reason to go on somewhere else without a word
        auto_offset_reset="none",
        **options,
    )
    try:
        await kafka.start()
        # aiokafka fails to stop a consumer whose own tasks have not had their first turn
        await asyncio.sleep(0)
        yield kafka
    finally:
        await kafka.stop()


async def topic_by_topic(
    ask: Callable[[Sequence[TopicPartition]], Awaitable[Offsets]], wanted: Sequence[TopicPartition]
) -> Offsets:
    """Return the offsets that a consumer's `ask` says of partitions, asked for all topics at once.

    A call learns of one new topic in each of its attempts, and waits 100 ms before the next.
    Raises what `ask` raises.
    """
    topics = [[*some] for _, some in groupby(wanted, attrgetter("topic"))]
    asked = [asyncio.ensure_future(ask(partitions)) for partitions in topics]
    try:
        answers = await asyncio.gather(*asked)
    finally:
        # of those that go on when one fails, none may outlive the consumer
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return {partition: offset for answer in answers for partition, offset in answer.items()}
