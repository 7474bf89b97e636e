"""The events of a history up to an instant."""

from collections.abc import Iterable
from datetime import datetime

from contracts.decoding import Undecodable, decode
from tests.reference import Record


def time_of(record: Record) -> datetime | None:
    """When an event happened; None for what is no event."""
    if record.value is None:
        return None
    event = decode(record.topic, record.value)
    return None if isinstance(event, Undecodable) else event.time


def middle(records: Iterable[Record]) -> datetime:
    """An instant with as many events before as after it, and itself one event's."""
    times = sorted(time for time in map(time_of, records) if time is not None)
    return times[len(times) // 2]


def before(records: Iterable[Record], instant: datetime) -> list[Record]:
    """The records without the events after the instant."""
    return [r for r in records if (time := time_of(r)) is None or time <= instant]
