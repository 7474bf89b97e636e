"""Which stored counts make up a range of time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from contracts.buckets import ORIGIN, Level

# PostgreSQL's -infinity and infinity, to asyncpg.
BEGINNING: Final = ORIGIN
END: Final = datetime.max.replace(tzinfo=UTC)


class Window(NamedTuple):
    """The part of a range that whole buckets of one level cover."""

    level: int
    start: datetime
    end: datetime
    """The first instant after it."""


class Edge(NamedTuple):
    """A part of a range that is less than a bucket: its rows have to be counted."""

    start: datetime
    end: datetime
    """The first instant after it."""


def cover(
    start: datetime, end: datetime, levels: Sequence[Level]
) -> tuple[list[Window], list[Edge]]:
    """Split a range, its start in it and its end not, into the fewest buckets and two edges.

    The widest buckets are in the middle, narrower ones on both sides of them; what is left is
    less than one of the narrowest at either end. `levels` come widest first.
    """
    windows: list[Window] = []
    edges: list[Edge] = []
    _split(Edge(start, end), levels, windows, edges)
    return windows, edges


def _split(part: Edge, levels: Sequence[Level], windows: list[Window], edges: list[Edge]) -> None:
    if part.start >= part.end:
        return
    if not levels:
        edges.append(part)
        return
    level, *narrower = levels
    first, last = _ceiling(part.start, level), _floor(part.end, level)
    if first >= last:
        _split(part, narrower, windows, edges)
        return
    windows.append(Window(level.number, first, last))
    for rest in (Edge(part.start, first), Edge(last, part.end)):
        _split(rest, narrower, windows, edges)


def _floor(moment: datetime, level: Level) -> datetime:
    return moment if moment == END else level.floor(moment)


def _ceiling(moment: datetime, level: Level) -> datetime:
    floor = level.floor(moment)
    if floor == moment:
        return moment
    return floor + level.width if floor <= END - level.width else END
