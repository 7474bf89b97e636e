"""Whole buckets and two edges make up any range, each instant of it once."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.queries.windows import BEGINNING, DAY, END, HOUR, MINUTE, WIDTHS, Edge, Window, cover

MOMENTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(datetime(2026, 5, 17), datetime(2026, 5, 20), timezones=st.just(UTC)),
    st.sampled_from([BEGINNING, END, datetime(9999, 12, 31, 5, tzinfo=UTC)]),
)


@given(MOMENTS, MOMENTS)
def test_the_parts_are_the_range(start: datetime, end: datetime) -> None:
    windows, edges = cover(start, end)
    parts = sorted([(w.start, w.end) for w in windows] + [(e.start, e.end) for e in edges])
    assert all(first < last for first, last in parts)
    if start >= end:
        assert parts == []
        return
    assert (parts[0][0], parts[-1][1]) == (start, end)
    assert all(one[1] == next_[0] for one, next_ in itertools.pairwise(parts))


@given(MOMENTS, MOMENTS)
def test_windows_are_whole_buckets(start: datetime, end: datetime) -> None:
    windows, _ = cover(start, end)
    widths = dict(WIDTHS)
    for window in windows:
        bounds = [window.start] + [window.end] * (window.end != END)
        assert all(not (bound - BEGINNING) % widths[window.level] for bound in bounds)


@given(MOMENTS, MOMENTS)
def test_the_parts_are_few_and_the_edges_short(start: datetime, end: datetime) -> None:
    windows, edges = cover(start, end)
    assert len(windows) <= 5
    assert len(edges) <= 2
    assert all(edge.end - edge.start < timedelta(minutes=1) for edge in edges)
    for window in windows:
        if window.level == HOUR:
            assert window.end - window.start < timedelta(hours=48)
        if window.level == MINUTE:
            assert window.end - window.start < timedelta(minutes=120)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-{text}+00:00")


@pytest.mark.parametrize(
    ("start", "end", "windows", "edges"),
    [
        ("18T00:00:00", "20T00:00:00", [(DAY, "18T00:00:00", "20T00:00:00")], []),
        (
            "17T22:58:59.5",
            "20T01:01:00.000001",
            [
                (DAY, "18T00:00:00", "20T00:00:00"),
                (HOUR, "17T23:00:00", "18T00:00:00"),
                (HOUR, "20T00:00:00", "20T01:00:00"),
                (MINUTE, "17T22:59:00", "17T23:00:00"),
                (MINUTE, "20T01:00:00", "20T01:01:00"),
            ],
            [("17T22:58:59.5", "17T22:59:00"), ("20T01:01:00", "20T01:01:00.000001")],
        ),
        ("18T06:01:02", "18T06:01:03", [], [("18T06:01:02", "18T06:01:03")]),
    ],
)
def test_the_parts_of_a_range(
    start: str, end: str, windows: list[tuple[int, str, str]], edges: list[tuple[str, str]]
) -> None:
    found = cover(at(start), at(end))
    assert sorted(found[0]) == sorted(Window(each[0], at(each[1]), at(each[2])) for each in windows)
    assert found[1] == [Edge(at(each[0]), at(each[1])) for each in edges]
