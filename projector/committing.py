"""Offsets that are told to Kafka, for lag tools: nothing of ours reads them."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from projector.batch import Partition

COMMIT_SECONDS: Final = 1.0


class Commits:
    """Tells Kafka now and then how far a worker is."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0

    def soon(self, kafka: AIOKafkaConsumer, positions: Mapping[Partition, int]) -> None:
        """Commit in the background, if the last time was long enough ago."""
        now = asyncio.get_running_loop().time()
        if now >= self._due and (self._task is None or self._task.done()):
            self._due = now + COMMIT_SECONDS
            self._task = asyncio.create_task(commit(kafka, positions))


async def commit(kafka: AIOKafkaConsumer, positions: Mapping[Partition, int]) -> None:
    """Commit the positions of the partitions that the client has; a failure is told, and no more.

    Returns after a second at the latest.
    """
    assigned = kafka.assignment()
    offsets = {
        TopicPartition(*partition): position
        for partition, position in positions.items()
        if TopicPartition(*partition) in assigned
    }
    if not offsets:
        return
    try:
        async with asyncio.timeout(COMMIT_SECONDS):
            await kafka.commit(offsets)
    except (KafkaError, TimeoutError) as error:
        log = structlog.get_logger("runfold")
        log.debug("offsets were not committed to Kafka", error=str(error))
