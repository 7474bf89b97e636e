"""Fold a slice of a poll: one winner per entity, the states seen, what is parked, the positions.

Pure: the same records, expected positions and rejections always give the same batch.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple, Protocol, TypeVar, cast

from contracts.decoding import Reason, Undecodable, decode
from contracts.envelope import Event
from contracts.events import Payload, RunStateChanged
from projector.projections import run
from projector.projections.registry import BY_SUFFIX, version
from projector.projections.rows import Row, StateRow


class Partition(NamedTuple):
    """A partition of a topic, by the topic's full name."""

    topic: str
    partition: int


class Record(Protocol):
    """What is read of a Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


AnyRecord = TypeVar("AnyRecord", bound=Record)
_PARTITION_OF: Final = attrgetter("topic", "partition")


def by_partition(
    records: Iterable[AnyRecord],
) -> Iterator[tuple[Partition, Iterator[AnyRecord]]]:
    """Yield the records of one partition after another, as a poll brings them.

    A partition comes several times where its records do not lie together.
    """
    for (topic, number), some in groupby(records, _PARTITION_OF):
        yield Partition(topic, number), some


ROWS_AT_ONCE: Final = 32
"""Rows of one step of settling: some tenths of a millisecond's worth."""


@dataclass(slots=True)
class Move:
    """How far one partition goes with this batch, and what became of its records."""

    start: int
    """Position the batch expects the partition to have."""
    next: int
    """Position after it."""
    applied: int = 0
    dead: int = 0
    tombstones: int = 0
    later: int = 0
    """Events after the instant the views are to be of."""
    gaps: int = 0
    """Offsets the broker did not deliver: compacted away, or a transaction's markers."""


class DeadLetter(NamedTuple):
    """A record to be parked, and why."""

    record: Record
    why: Undecodable


@dataclass(slots=True)
class Batch:
    """All that one transaction will write."""

    moves: dict[Partition, Move] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    states: list[StateRow] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


Rejections = Mapping[tuple[str, int, int], str]
"""Records the database has refused, by (topic, partition, offset), and what it said."""


def fold(
    records: Iterable[Record],
    positions: Mapping[Partition, int],
    prefix: str,
    rejections: Rejections,
    until: datetime | None = None,
) -> Batch:
    """Return the batch these records make, each partition's in the order of its offsets."""
    folding = Folding(positions, prefix, rejections, until)
    folding.add(records)
    for _ in folding.settle():
        pass
    return folding.batch()


class Folding:
    """A fold under way: takes some records at a time, so that it can be done in steps.

    `positions` are where this worker's partitions stand. A record before its partition's
    position has been applied already, one of another worker's partition is not ours: both are
    passed over. An event after `until`, if given, is accounted for and left out.
    """

    def __init__(
        self,
        positions: Mapping[Partition, int],
        prefix: str,
        rejections: Rejections,
        until: datetime | None = None,
    ) -> None:
        self._positions = positions
        self._prefix = prefix
        self._rejections = rejections
        self._until = until
        self._batch = Batch()
        self._contests: dict[str, _Contest] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Take some records in."""
        for partition, some in by_partition(records):
            position = self._positions.get(partition)
            if position is not None:
                self._add(partition, position, some)

    def _add(self, partition: Partition, position: int, records: Iterable[Record]) -> None:
        suffix = partition.topic.removeprefix(self._prefix)
        contest = self._contests.get(suffix)
        if contest is None:
            contest = self._contests[suffix] = _Contest(suffix)
        for record in records:
            move = _advance(self._batch.moves, partition, record.offset, position)
            if move is None:
                continue
            outcome = _read(suffix, record, self._rejections)
            if outcome is None:
                move.tombstones += 1
            elif isinstance(outcome, Undecodable):
                move.dead += 1
                self._batch.dead.append(DeadLetter(record, outcome))
            elif self._until is not None and outcome.time > self._until:
                move.later += 1
            else:
                move.applied += 1
                contest.enter(outcome)

    def settle(self) -> Iterator[None]:
        """Make the rows of what has been taken in, some at each step; nothing is taken in then."""
        for contest in self._contests.values():
            yield from contest.settle(self._batch)

    def batch(self) -> Batch:
        """Return the batch that all records make, once it is settled."""
        return _in_key_order(self._batch)


def of_event(suffix: str, event: Event[Payload]) -> Batch:
    """Return the batch of one event that has no place in a partition (a dead letter's retry)."""
    batch = Batch()
    contest = _Contest(suffix)
    contest.enter(event)
    for _ in contest.settle(batch):
        pass
    return batch


class _Contest:
    """Which of the events of one topic seen so far is each entity's state."""

    def __init__(self, suffix: str) -> None:
        self._projection = BY_SUFFIX[suffix]
        self._winners: dict[Hashable, Event[Payload]] = {}
        self._names_states = suffix == "run-state"
        self._states: set[StateRow] = set()

    def enter(self, event: Event[Payload]) -> None:
        """Take in an event."""
        entity = self._projection.entity(event.data)
        standing = self._winners.get(entity)
        if standing is None or version(event) > version(standing):
            self._winners[entity] = event
        if self._names_states:
            self._states.add(run.state(cast("Event[RunStateChanged]", event)))

    def settle(self, batch: Batch) -> Iterator[None]:
        """Put the states that were seen and the winners' rows into the batch, some at a step."""
        batch.states += self._states
        winners = iter(self._winners.values())
        while some := [*islice(winners, ROWS_AT_ONCE)]:
            rows = batch.rows.setdefault(self._projection.table, [])
            rows += map(self._projection.row, some)
            yield


def _in_key_order(batch: Batch) -> Batch:
    """Sort the rows of a batch, so that two workers never lock them crosswise."""
    for rows in batch.rows.values():
        rows.sort(key=itemgetter(0))
    batch.states.sort()
    return batch


def _advance(
    moves: dict[Partition, Move], partition: Partition, offset: int, position: int
) -> Move | None:
    """Move the partition past `offset`, or return None when it already is."""
    move = moves.get(partition)
    if offset < (position if move is None else move.next):
        return None
    if move is None:
        move = moves[partition] = Move(start=position, next=position)
    move.gaps += offset - move.next
    move.next = offset + 1
    return move


def _read(
    suffix: str, record: Record, rejections: Rejections
) -> Event[Payload] | Undecodable | None:
    if record.value is None:
        return None
    if rejections:
        said = rejections.get((record.topic, record.partition, record.offset))
        if said is not None:
            return Undecodable(Reason.REJECTED, said)
    return decode(suffix, record.value)
