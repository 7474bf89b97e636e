"""Fold a slice of a poll: each entity's latest event as a row, dead letters, positions.

Pure: the same records and positions always make the same batch.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from contracts.decoding import Reason, Undecodable, decode
from contracts.envelope import Event
from contracts.events import Payload
from contracts.read_model import metadata
from projector.projections.registry import BY_SUFFIX
from projector.projections.rows import Row

AT_ONCE: Final = 16
"""Records or rows of one step of a fold: some tenths of a millisecond's worth."""


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


Values: TypeAlias = tuple[Any, ...]
"""A row's values in the order of its table's columns, the key first."""


@dataclass(slots=True)
class Batch:
    """All that one transaction will write."""

    moves: dict[Partition, Move] = field(default_factory=dict)
    rows: dict[str, list[Values]] = field(default_factory=dict)
    """Rows by table, in key order: two transactions never lock them crosswise."""
    dead: list[DeadLetter] = field(default_factory=list)


AnyRecord = TypeVar("AnyRecord", bound=Record)
_PARTITION_OF: Final = attrgetter("topic", "partition")


def by_partition(
    records: Iterable[AnyRecord],
) -> Iterator[tuple[Partition, Iterator[AnyRecord]]]:
    """Yield records by partition, in their order.

    A partition comes several times where its records do not lie together.
    """
    for place, some in groupby(records, _PARTITION_OF):
        yield Partition(*place), some


def fold(
    batch: Batch,
    records: Iterable[Record],
    positions: Mapping[Partition, int],
    prefix: str,
    until: datetime | None = None,
) -> Iterator[None]:
    """Make an empty batch the one of these records, in steps between which other work can go on.

    `positions` are where this worker's partitions stand: a record before its partition's position
    has been applied already, and one of another partition is another worker's; both are skipped.
    An event after `until` is counted and left out.
    """
    topics: dict[str, _Topic] = {}
    for partition, some in by_partition(records):
        position = positions.get(partition)
        if position is None:
            continue
        suffix = partition.topic.removeprefix(prefix)
        if suffix not in topics:
            topics[suffix] = _Topic(suffix, batch, until)
        topic = topics[suffix]
        for number, record in enumerate(some):
            move = _advance(batch.moves, partition, record.offset, position)
            if move is not None:
                topic.take(record, move)
            if number % AT_ONCE == 0:
                yield
    for topic in topics.values():
        yield from topic.settle()
    for rows in batch.rows.values():
        rows.sort(key=itemgetter(0))


def of_event(suffix: str, event: Event[Payload]) -> Batch:
    """Return the batch of one event that has no place in a partition (a dead letter's retry)."""
    batch = Batch()
    topic = _Topic(suffix, batch, None)
    topic.add(event)
    for _ in topic.settle():
        pass
    return batch


def rejected(batch: Batch, record: Record, error: str) -> Batch:
    """Return the batch of one record with the record parked, because the database refused it."""
    moves = {
        partition: Move(move.start, move.next, dead=1, gaps=move.gaps)
        for partition, move in batch.moves.items()
    }
    return Batch(moves, dead=[DeadLetter(record, Undecodable(Reason.REJECTED, error))])


class _Topic:
    """One topic's part of a batch: the latest event of each entity so far, the states of runs."""

    def __init__(self, suffix: str, batch: Batch, until: datetime | None) -> None:
        self._suffix = suffix
        self._projection = BY_SUFFIX[suffix]
        self._entity, self._state = self._projection.entity, self._projection.state
        self._batch = batch
        self._until = until
        self._latest: dict[Hashable, Event[Payload]] = {}
        self._states: set[Values] = set()

    def take(self, record: Record, move: Move) -> None:
        """Take in a record and count it by what it holds."""
        if record.value is None:
            move.tombstones += 1
            return
        outcome = decode(self._suffix, record.value)
        if isinstance(outcome, Undecodable):
            move.dead += 1
            self._batch.dead.append(DeadLetter(record, outcome))
        elif self._until is not None and outcome.time > self._until:
            move.later += 1
        else:
            move.applied += 1
            self.add(outcome)

    def add(self, event: Event[Payload]) -> None:
        """Take in an event."""
        entity = self._entity(event.data)
        standing = self._latest.get(entity)
        if standing is None or _version(event) > _version(standing):
            self._latest[entity] = event
        if self._state is not None:
            self._states.add(_in_order("run_state")(self._state(event)))

    def settle(self) -> Iterator[None]:
        """Put the rows of what was taken in into the batch, some at each step."""
        if self._states:
            self._batch.rows["run_state"] = sorted(self._states)
        table, row = self._projection.table, self._projection.row
        rows = self._batch.rows.setdefault(table, [])
        made = map(_in_order(table), map(row, self._latest.values()))
        while some := [*islice(made, AT_ONCE)]:
            rows += some
            yield


@cache
def _in_order(table: str) -> Callable[[Row], Values]:
    """Return what puts a row's values in the order of its table's columns."""
    return itemgetter(*metadata.tables[table].columns.keys())


def _version(event: Event[Payload]) -> tuple[int, datetime, str]:
    """Return what orders the events of one entity; Python, too, compares `id` by code point."""
    return event.entityversion, event.time, event.id


def _advance(
    moves: dict[Partition, Move], partition: Partition, offset: int, position: int
) -> Move | None:
    """Move the partition past `offset`; return None when it already is."""
    move = moves.get(partition)
    if offset < (position if move is None else move.next):
        return None
    if move is None:
        move = moves[partition] = Move(start=position, next=position)
    move.gaps += offset - move.next
    move.next = offset + 1
    return move
