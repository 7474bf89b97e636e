"""Everything that is known after reading a set of records: the winners and the dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.reference.contract import ENTITIES, ORDER
from tests.reference.decoding import Event, Unusable, decode

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the topic with this suffix. A `value` of None is a tombstone."""

    topic: str
    key: str | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Platform:
    """What a set of records tells: all valid events, per topic the event each entity takes its
    state from, the dead letters in the order read, and how many tombstones there were.

    The order and the number of times an event was read change nothing in the winners.
    """

    events: tuple[Event, ...]
    winners: dict[str, list[Event]]
    dead: tuple[DeadLetter, ...]
    tombstones: int

    def rows(self, topic: str) -> list[Row]:
        """The data of the winners of this topic, in its order."""
        return [event.data for event in self.winners[topic]]

    def run(self, run_id: str) -> Event | None:
        """The winning event of the run with this id in lower case, if there is one."""
        runs = (event for event in self.winners["run-state"] if event.data["run_id"] == run_id)
        return next(runs, None)


def load(records: Iterable[Record]) -> Platform:
    events: list[Event] = []
    dead: list[DeadLetter] = []
    tombstones = 0
    for record in records:
        if record.value is None:
            tombstones += 1
            continue
        try:
            events.append(decode(record.topic, record.value))
        except Unusable as unusable:
            dead.append(DeadLetter(record, unusable.reason))
    winners = {topic: winners_of(topic, events) for topic in ENTITIES}
    return Platform(tuple(events), winners, tuple(dead), tombstones)


def winners_of(topic: str, events: list[Event]) -> list[Event]:
    best: dict[tuple[str, ...], Event] = {}
    for event in events:
        if event.topic == topic:
            entity = tuple(event.data[name] for name in ENTITIES[topic])
            if entity not in best or best[entity].precedence < event.precedence:
                best[entity] = event
    return sorted(best.values(), key=lambda event: [event.data[name] for name in ORDER[topic]])
