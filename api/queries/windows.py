"""Which stored counts make up a range of time."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

DAY: Final = 1
HOUR: Final = 2
MINUTE: Final = 3

# PostgreSQL's -infinity and infinity, to asyncpg.
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
END: Final = datetime.max.replace(tzinfo=UTC)

WIDTHS: Final = (
    (DAY, timedelta(days=1)),
    (HOUR, timedelta(hours=1)),
    (MINUTE, timedelta(minutes=1)),
)


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


def cover(start: datetime, end: datetime) -> tuple[list[Window], list[Edge]]:
    """Split a range, its start in it and its end not, into the fewest buckets and two edges.

    Days in the middle, hours on both sides of them, minutes next to the hours; what is left is
    less than a minute at either end.
    """
    windows: list[Window] = []
    edges: list[Edge] = []
    _split(Edge(start, end), 0, windows, edges)
    return windows, edges


def _split(part: Edge, depth: int, windows: list[Window], edges: list[Edge]) -> None:
    if part.start >= part.end:
        return
    if depth == len(WIDTHS):
        edges.append(part)
        return
    level, width = WIDTHS[depth]
    first, last = _ceiling(part.start, width), _floor(part.end, width)
    if first >= last:
        _split(part, depth + 1, windows, edges)
        return
    windows.append(Window(level, first, last))
    for rest in (Edge(part.start, first), Edge(last, part.end)):
        _split(rest, depth + 1, windows, edges)


def _floor(moment: datetime, width: timedelta) -> datetime:
    return moment if moment == END else moment - (moment - BEGINNING) % width


def _ceiling(moment: datetime, width: timedelta) -> datetime:
    over = (moment - BEGINNING) % width
    if not over:
        return moment
    return moment - over + width if moment - over <= END - width else END
