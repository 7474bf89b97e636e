"""What lies at the end of a log and is no record: a transaction's markers, what was taken back.

Nothing is delivered of it, so no batch would ever move over it, and a worker at rest would seem to
be behind for as long as nothing else comes.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from projector.writing.applying import Applier
from projector.writing.batch import Partition

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 1.0
"""How long the broker may take to say where logs begin: polls wait for it."""
NO_ANSWER_SECONDS: Final = 20.0
"""How long it is not asked again when it took longer."""


class Stretch(NamedTuple):
    """Offsets at the end of a partition that are read and not moved over.

    Once all that the client has delivered is dealt with, they hold no record.
    """

    position: int
    """The first of them, which is where the partition stands."""
    reached: int
    """The one after the last, which the client asks for next."""


class Found(NamedTuple):
    """What partitions have come to rest before."""

    held: Mapping[Partition, Stretch]
    """Stretches that the broker held whole when they were read."""
    dropped: Collection[Partition]
    """Those of which the broker has dropped it: the client goes on where the log begins now."""


class Trailing:
    """Passes over it, where a worker has come to rest."""

    def __init__(self, applier: Applier) -> None:
        self._applier = applier
        self._due = 0.0
        self._seen: Mapping[Partition, Stretch] = {}

    async def look(self, kafka: AIOKafkaConsumer) -> Found | None:
        """Return what partitions stood before at the last look too, at least a second ago."""
        if time.monotonic() < self._due:
            return None
        seen = {
            partition: there
            for partition, position in [*self._applier.positions.items()]
            if (there := await _stretch(kafka, partition, position)) is not None
        }
        stays = {each: there for each, there in seen.items() if self._seen.get(each) == there}
        self._seen, self._due = seen, time.monotonic() + LOOK_SECONDS
        if not stays:
            return None
        begins = await _beginnings(kafka, stays)
        if begins is None:
            self._due = time.monotonic() + NO_ANSWER_SECONDS
            return None
        dropped = {each for each, there in stays.items() if begins[each] > there.position}
        return Found({each: stays[each] for each in stays.keys() - dropped}, dropped)

    async def pass_over(self, kafka: AIOKafkaConsumer, held: Mapping[Partition, Stretch]) -> None:
        """Move partitions over what they still stand before, and count it as a gap.

        All that the client has delivered has to be written or sought again: a record that is
        neither would be lost. Raises what `Applier.pass_over` raises.
        """
        positions = self._applier.positions
        await self._applier.pass_over(
            {
                partition: there
                for partition, there in held.items()
                if await _stretch(kafka, partition, positions.get(partition)) == there
            }
        )


async def _stretch(
    kafka: AIOKafkaConsumer, partition: Partition, position: int | None
) -> Stretch | None:
    """Return what lies between the position of a partition of ours and where the client is."""
    at = TopicPartition(*partition)
    # most have nothing before them, which is known without asking
    if position is None or at not in kafka.assignment() or kafka.highwater(at) == position:
        return None
    try:
        # where the client has to ask the broker first, it may take long: not now
        async with asyncio.timeout(0):
            reached = await kafka.position(at)
    except (KafkaError, TimeoutError):
        return None  # what is wrong is told of when it is polled
    is_end = at in kafka.assignment() and reached == kafka.last_stable_offset(at)
    return Stretch(position, reached) if is_end and reached > position else None


async def _beginnings(
    kafka: AIOKafkaConsumer, partitions: Iterable[Partition]
) -> dict[Partition, int] | None:
    """Return the first offsets that the broker holds, or None when it does not say so at once."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            first = await kafka.beginning_offsets([TopicPartition(*each) for each in partitions])
    except (KafkaError, TimeoutError):
        return None
    return {Partition(*each): offset for each, offset in first.items()}
