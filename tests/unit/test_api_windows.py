"""Whole buckets and two edges make up any range, each instant of it once."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.queries.windows import BEGINNING, END, Edge, Window, cover
from contracts.buckets import DAY, HOUR, MINUTE, OF_INCIDENTS, OF_RUNS, Level

MOMENTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(datetime(2026, 5, 17), datetime(2026, 5, 20), timezones=st.just(UTC)),
    st.sampled_from([BEGINNING, END, datetime(9999, 12, 31, 5, tzinfo=UTC)]),
)


LEVELS = st.sampled_from([OF_RUNS, OF_INCIDENTS])


@given(MOMENTS, MOMENTS, LEVELS)
def test_the_parts_are_the_range(start: datetime, end: datetime, levels: Sequence[Level]) -> None:
    windows, edges = cover(start, end, levels)
    parts = sorted([(w.start, w.end) for w in windows] + [(e.start, e.end) for e in edges])
    assert all(first < last for first, last in parts)
    if start >= end:
        assert parts == []
        return
    assert (parts[0][0], parts[-1][1]) == (start, end)
    assert all(one[1] == next_[0] for one, next_ in itertools.pairwise(parts))


@given(MOMENTS, MOMENTS, LEVELS)
def test_windows_are_whole_buckets(start: datetime, end: datetime, levels: Sequence[Level]) -> None:
    windows, _ = cover(start, end, levels)
    widths = {level.number: level.width for level in levels}
    for window in windows:
        bounds = [window.start] + [window.end] * (window.end != END)
        assert all(not (bound - BEGINNING) % widths[window.level] for bound in bounds)


@given(MOMENTS, MOMENTS, LEVELS)
def test_the_parts_are_few_and_the_edges_short(
    start: datetime, end: datetime, levels: Sequence[Level]
) -> None:
    windows, edges = cover(start, end, levels)
    assert len(windows) <= 2 * len(levels) - 1
    assert len(edges) <= 2
    assert all(edge.end - edge.start < levels[-1].width for edge in edges)
    wider = {narrow.number: wide.width for wide, narrow in itertools.pairwise(levels)}
    for window in windows:
        if window.level in wider:
            assert window.end - window.start < 2 * wider[window.level]


@pytest.mark.parametrize("levels", [OF_RUNS, OF_INCIDENTS])
def test_the_widest_come_first_and_whole_ones_make_up_the_next(levels: Sequence[Level]) -> None:
    for wide, narrow in itertools.pairwise(levels):
        assert wide.width > narrow.width
        assert not wide.width % narrow.width


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-{text}+00:00")


@pytest.mark.parametrize(
    ("start", "end", "windows", "edges"),
    [
        ("18T00:00:00", "20T00:00:00", [(DAY.number, "18T00:00:00", "20T00:00:00")], []),
        (
            "17T22:58:59.5",
            "20T01:01:00.000001",
            [
                (DAY.number, "18T00:00:00", "20T00:00:00"),
                (HOUR.number, "17T23:00:00", "18T00:00:00"),
                (HOUR.number, "20T00:00:00", "20T01:00:00"),
                (MINUTE.number, "17T22:59:00", "17T23:00:00"),
                (MINUTE.number, "20T01:00:00", "20T01:01:00"),
            ],
            [("17T22:58:59.5", "17T22:59:00"), ("20T01:01:00", "20T01:01:00.000001")],
        ),
        ("18T06:01:02", "18T06:01:03", [], [("18T06:01:02", "18T06:01:03")]),
    ],
)
def test_the_parts_of_a_range(
    start: str, end: str, windows: list[tuple[int, str, str]], edges: list[tuple[str, str]]
) -> None:
    found = cover(at(start), at(end), OF_INCIDENTS)
    assert sorted(found[0]) == sorted(Window(each[0], at(each[1]), at(each[2])) for each in windows)
    assert found[1] == [Edge(at(each[0]), at(each[1])) for each in edges]


def test_a_range_of_years_is_of_few_buckets() -> None:
    windows, _ = cover(at("18T06:01:02"), at("18T06:01:02").replace(year=2036), OF_RUNS)
    widths = {level.number: level.width for level in OF_RUNS}
    assert sum((w.end - w.start) // widths[w.level] for w in windows) < 300
