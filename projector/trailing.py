"""What lies at the end of a log and is no record: a transaction's markers, what was taken back.

Nothing is delivered of it, so no batch would ever move over it, and a worker at rest would seem to
be behind for as long as nothing else comes.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError

from projector.applying import Applier
from projector.batch import Partition
from projector.seeking import Seeker

LOOK_SECONDS: Final = 1.0


class Stretch(NamedTuple):
    """Offsets of a partition of which the client has delivered no record."""

    position: int
    """The first of them, which is where the partition stands."""
    reached: int
    """The one after the last, which the client asks for next."""


class Trailing:
    """Passes over it, where a worker has come to rest."""

    def __init__(self, applier: Applier, seeker: Seeker) -> None:
        self._applier = applier
        self._seeker = seeker
        self._due = 0.0
        self._seen: Mapping[Partition, Stretch] = {}

    async def look(self, kafka: AIOKafkaConsumer) -> dict[Partition, Stretch]:
        """Return what partitions have stood before since the last look, at least a second ago.

        All the client has delivered has to have been dealt with: then no record can lie there.
        """
        if (now := time.monotonic()) < self._due:
            return {}
        self._due = now + LOOK_SECONDS
        seen, self._seen = self._seen, await self._stretches(kafka)
        return {each: there for each, there in self._seen.items() if seen.get(each) == there}

    async def _stretches(self, kafka: AIOKafkaConsumer) -> dict[Partition, Stretch]:
        found: dict[Partition, Stretch] = {}
        for partition, position in [*self._applier.positions.items()]:
            at = TopicPartition(*partition)
            # most have nothing before them, which is known without asking
            if at not in kafka.assignment() or kafka.highwater(at) == position:
                continue
            try:
                # where the client has to ask the broker first, it may take long: not now
                async with asyncio.timeout(0):
                    reached = await kafka.position(at)
            except (IllegalStateError, TimeoutError):
                continue
            if reached > position:
                found[partition] = Stretch(position, reached)
        return found

    async def pass_over(
        self, kafka: AIOKafkaConsumer, found: Mapping[Partition, Stretch]
    ) -> set[Partition]:
        """Move partitions over what they still stand before, and count it as a gap.

        Returns those of which it cannot be: the broker has dropped what they stand before, and the
        client has gone on where its log begins now. They have to be sought. Raises what
        `Applier.pass_over` raises, and `Stopping`.
        """
        still = {
            partition: there
            for partition, there in found.items()
            if self._applier.positions.get(partition) == there.position
        }
        first = await self._seeker.first_offsets(kafka, [*still])
        dropped = {each for each, there in still.items() if first[each] > there.position}
        await self._applier.pass_over(
            {each: there.reached for each, there in still.items() if each not in dropped}
        )
        return dropped
