"""Offsets that are told to Kafka, for lag tools: nothing of ours reads them."""

import asyncio
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from projector.writing.applying import Applier

COMMIT_SECONDS: Final = 1.0


class Commits:
    """Tells Kafka how far a worker is, at most once a second."""

    def __init__(self, applier: Applier) -> None:
        self._applier = applier
        self._log = structlog.get_logger("runfold")
        self._due = 0.0
        self._is_wanted = False
        self._task: asyncio.Task[None] | None = None

    def soon(self, kafka: AIOKafkaConsumer) -> None:
        """Commit in the background where the worker stands by then."""
        self._is_wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit_while_wanted(kafka))

    async def now(self, kafka: AIOKafkaConsumer) -> None:
        """Commit the positions of the partitions that are ours; a failure is told, and no more.

        Returns after a second at the latest, and nothing more is committed in the background.
        """
        if self._task is not None:
            self._task.cancel()
            self._task = None
        await self._commit(kafka)

    async def _commit_while_wanted(self, kafka: AIOKafkaConsumer) -> None:
        clock = asyncio.get_running_loop().time
        while self._is_wanted:
            await asyncio.sleep(self._due - clock())
            self._is_wanted, self._due = False, clock() + COMMIT_SECONDS
            self._is_wanted |= not await self._commit(kafka)

    async def _commit(self, kafka: AIOKafkaConsumer) -> bool:
        """Say whether nothing is left to tell."""
        assigned = kafka.assignment()
        offsets = {
            TopicPartition(*partition): position
            for partition, position in self._applier.positions.items()
            if TopicPartition(*partition) in assigned
        }
        if not offsets:
            return True
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await kafka.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._log.debug("offsets were not committed to Kafka", error=str(error))
            return False
        return True
