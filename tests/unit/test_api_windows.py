"""Whole buckets and two edges make up any range, each instant of it once in the sum."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.queries.totals import END, Part, Window, cover
from contracts.buckets import DAY, HOUR, OF_INCIDENTS, OF_RUNS, ORIGIN, Level

MOMENTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(datetime(2026, 5, 17), datetime(2026, 5, 20), timezones=st.just(UTC)),
    st.sampled_from([ORIGIN, END, datetime(9999, 12, 31, 5, tzinfo=UTC)]),
)
LEVELS = st.sampled_from([OF_RUNS, OF_INCIDENTS])


@given(MOMENTS, MOMENTS, LEVELS)
def test_the_parts_are_the_range(start: datetime, end: datetime, levels: Sequence[Level]) -> None:
    windows, edges = cover(start, end, levels)
    found = [window.part for window in windows] + edges
    assert all(part.start < part.end and part.sign in {1, -1} for part in found)
    bounds = {start, end, *(part.start for part in found), *(part.end for part in found)}
    for one, other in itertools.pairwise(sorted(bounds)):
        times = sum(part.sign for part in found if part.start <= one and other <= part.end)
        assert times == (start <= one and other <= end)


@given(MOMENTS, MOMENTS, LEVELS)
def test_the_parts_are_few_whole_buckets_and_short_edges(
    start: datetime, end: datetime, levels: Sequence[Level]
) -> None:
    windows, edges = cover(start, end, levels)
    widths = {level.number: level.width for level in levels}
    wider = {narrow.number: wide.width for wide, narrow in itertools.pairwise(levels)}
    assert len(windows) <= 2 * len(levels) - 1
    for number, part in windows:
        assert all(not (bound - ORIGIN) % widths[number] for bound in (part.start, part.end))
        assert number not in wider or part.end - part.start <= 1.5 * wider[number]
    assert len(edges) <= 2
    assert all(edge.end - edge.start < levels[-1].width for edge in edges)


@pytest.mark.parametrize("levels", [OF_RUNS, OF_INCIDENTS])
def test_the_widest_come_first_and_whole_ones_make_up_the_next(levels: Sequence[Level]) -> None:
    for wide, narrow in itertools.pairwise(levels):
        assert wide.width > narrow.width
        assert not wide.width % narrow.width


def part(start: str, end: str, sign: int = 1) -> Part:
    one, other = (datetime.fromisoformat(f"2026-05-{text}+00:00") for text in (start, end))
    return Part(one, other, sign)


@pytest.mark.parametrize(
    ("whole", "windows", "edges"),
    [
        (
            part("18T00:00:00", "20T00:00:00"),
            [Window(DAY.number, part("18T00:00:00", "20T00:00:00"))],
            [],
        ),
        (
            part("17T22:58:59.5", "20T01:59:00.000001"),
            [
                Window(DAY.number, part("18T00:00:00", "20T00:00:00")),
                Window(HOUR.number, part("17T23:00:00", "18T00:00:00")),
                Window(HOUR.number, part("20T00:00:00", "20T02:00:00")),
            ],
            [part("17T22:58:59.5", "17T23:00:00"), part("20T01:59:00.000001", "20T02:00:00", -1)],
        ),
        (part("18T06:01:02", "18T06:01:03"), [], [part("18T06:01:02", "18T06:01:03")]),
    ],
)
def test_the_parts_of_a_range(whole: Part, windows: list[Window], edges: list[Part]) -> None:
    found = cover(whole.start, whole.end, OF_INCIDENTS)
    assert sorted(found.windows) == sorted(windows)
    assert sorted(found.edges) == sorted(edges)
