"""How a history reaches the workers: laid out on partitions, in offsets, cut into polls."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from zlib import crc32

from tests.reference import Record

PARTITIONS = 3
REPEATED = 0.1
LONGEST_POLL = 12


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record at its place in the log. `topic` is the suffix, as in the record."""

    topic: str
    partition: int
    offset: int
    record: Record


Poll = list[Delivery]


def schedule(records: list[Record], seed: int, workers: int) -> list[list[Poll]]:
    """The polls of each worker, in the order the worker gets them.

    The records come in another order, some of them a second time further on, as a producer that
    retries writes them. Offsets count from 0 in each partition; a partition is one worker's and
    its offsets come in order, between those of the worker's other partitions as chance has it.
    A worker without a partition has no polls.

    The views are those of `load(records)`. Dead letters are one per bad *delivery*: compare them
    with `load(delivery.record for ...)` over `deliveries(polls)`.
    """
    rng = Random(seed)
    log = [*records, *(record for record in records if rng.random() < REPEATED)]
    rng.shuffle(log)
    placed = list(place(log))
    lots = sorted({(delivery.topic, delivery.partition) for delivery in placed})
    owner = {lot: rng.randrange(workers) for lot in lots}
    polls: list[list[Poll]] = []
    for worker in range(workers):
        own = [item for item in placed if owner[item.topic, item.partition] == worker]
        polls.append(list(cut(own, rng)))
    return polls


def place(log: list[Record]) -> Iterator[Delivery]:
    """The records at their places: those of one topic and key together, in the order of the log."""
    ends: dict[tuple[str, int], int] = {}
    for record in log:
        partition = crc32((record.key or "").encode()) % PARTITIONS
        offset = ends.get((record.topic, partition), 0)
        ends[record.topic, partition] = offset + 1
        yield Delivery(record.topic, partition, offset, record)


def cut(own: list[Delivery], rng: Random) -> Iterator[Poll]:
    start = 0
    while start < len(own):
        end = start + rng.randint(1, LONGEST_POLL)
        yield own[start:end]
        start = end


def deliveries(polls: list[list[Poll]]) -> list[Delivery]:
    return [delivery for worker in polls for poll in worker for delivery in poll]
