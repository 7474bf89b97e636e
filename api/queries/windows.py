"""Which stored counts make up a range of time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from contracts.buckets import Level

END: Final = datetime.max.replace(tzinfo=UTC)
"""The last instant that can be told."""


class Part(NamedTuple):
    """A stretch of time that is added to others, or taken off them."""

    start: datetime
    end: datetime
    """The first instant after it."""
    sign: int
    """1 where it is added, -1 where it is taken off."""


class Window(NamedTuple):
    """A part that whole buckets of one level cover."""

    level: int
    part: Part


class Cover(NamedTuple):
    """The parts that make up a range."""

    windows: list[Window]
    edges: list[Part]
    """What is less than a bucket: its rows have to be counted."""


def cover(start: datetime, end: datetime, levels: Sequence[Level]) -> Cover:
    """Make a range, its start in it and its end not, of few buckets and two edges at most.

    It goes from one bound of the widest buckets to another, those nearest to its ends; narrower
    buckets add what is missing at an end, or take off what is too much. `levels` come widest first.
    """
    made = Cover([], [])
    _make(start, end, 1, levels, made)
    return made


def _make(start: datetime, end: datetime, sign: int, levels: Sequence[Level], made: Cover) -> None:
    if start >= end:
        return
    if not levels:
        made.edges.append(Part(start, end, sign))
        return
    level, *narrower = levels
    first, last = _nearest(start, level), _nearest(end, level)
    if first >= last:
        _make(start, end, sign, narrower, made)
        return
    made.windows.append(Window(level.number, Part(first, last, sign)))
    for one, other in ((start, first), (last, end)):
        way = sign if one <= other else -sign
        _make(min(one, other), max(one, other), way, narrower, made)


def _nearest(moment: datetime, level: Level) -> datetime:
    """Return the bound of buckets that is nearest; after the last one the one before it."""
    floor = level.floor(moment)
    if moment - floor <= level.width / 2 or floor > END - level.width:
        return floor
    return floor + level.width
