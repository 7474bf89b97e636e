"""Whole buckets and two edges make up any range, each instant of it once in the sum."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.queries.windows import END, Cover, Part, Window, cover
from contracts.buckets import DAY, HOUR, MINUTE, OF_INCIDENTS, OF_RUNS, ORIGIN, Level

MOMENTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(datetime(2026, 5, 17), datetime(2026, 5, 20), timezones=st.just(UTC)),
    st.sampled_from([ORIGIN, END, datetime(9999, 12, 31, 5, tzinfo=UTC)]),
)


LEVELS = st.sampled_from([OF_RUNS, OF_INCIDENTS])


def parts(made: Cover) -> list[Part]:
    return [window.part for window in made.windows] + made.edges


@given(MOMENTS, MOMENTS, LEVELS)
def test_the_parts_are_the_range(start: datetime, end: datetime, levels: Sequence[Level]) -> None:
    found = parts(cover(start, end, levels))
    assert all(part.start < part.end and part.sign in {1, -1} for part in found)
    bounds = {start, end, *(part.start for part in found), *(part.end for part in found)}
    for one, other in itertools.pairwise(sorted(bounds)):
        times = sum(part.sign for part in found if part.start <= one and other <= part.end)
        assert times == (start <= one and other <= end)


@given(MOMENTS, MOMENTS, LEVELS)
def test_windows_are_whole_buckets(start: datetime, end: datetime, levels: Sequence[Level]) -> None:
    widths = {level.number: level.width for level in levels}
    for number, part in cover(start, end, levels).windows:
        assert all(not (bound - ORIGIN) % widths[number] for bound in (part.start, part.end))


@given(MOMENTS, MOMENTS, LEVELS)
def test_the_parts_are_few_and_the_edges_short(
    start: datetime, end: datetime, levels: Sequence[Level]
) -> None:
    windows, edges = cover(start, end, levels)
    assert len(windows) <= 2 * len(levels) - 1
    assert len(edges) <= 2
    assert all(edge.end - edge.start < levels[-1].width for edge in edges)
    wider = {narrow.number: wide.width for wide, narrow in itertools.pairwise(levels)}
    for number, part in windows:
        if number in wider:
            assert part.end - part.start <= 1.5 * wider[number]


@pytest.mark.parametrize("levels", [OF_RUNS, OF_INCIDENTS])
def test_the_widest_come_first_and_whole_ones_make_up_the_next(levels: Sequence[Level]) -> None:
    for wide, narrow in itertools.pairwise(levels):
        assert wide.width > narrow.width
        assert not wide.width % narrow.width


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-{text}+00:00")


Told = tuple[str, str, int]


@pytest.mark.parametrize(
    ("start", "end", "windows", "edges"),
    [
        ("18T00:00:00", "20T00:00:00", [(DAY.number, ("18T00:00:00", "20T00:00:00", 1))], []),
        (
            "17T22:58:59.5",
            "20T01:59:00.000001",
            [
                (DAY.number, ("18T00:00:00", "20T00:00:00", 1)),
                (HOUR.number, ("17T23:00:00", "18T00:00:00", 1)),
                (HOUR.number, ("20T00:00:00", "20T02:00:00", 1)),
                (MINUTE.number, ("17T22:59:00", "17T23:00:00", 1)),
                (MINUTE.number, ("20T01:59:00", "20T02:00:00", -1)),
            ],
            [("17T22:58:59.5", "17T22:59:00", 1), ("20T01:59:00", "20T01:59:00.000001", 1)],
        ),
        ("18T06:01:02", "18T06:01:03", [], [("18T06:01:02", "18T06:01:03", 1)]),
    ],
)
def test_the_parts_of_a_range(
    start: str, end: str, windows: list[tuple[int, Told]], edges: list[Told]
) -> None:
    def part(told: Told) -> Part:
        return Part(at(told[0]), at(told[1]), told[2])

    found = cover(at(start), at(end), OF_INCIDENTS)
    assert sorted(found.windows) == sorted(Window(level, part(told)) for level, told in windows)
    assert sorted(found.edges) == sorted(map(part, edges))


def test_a_range_of_years_is_of_few_buckets() -> None:
    made = cover(at("18T06:01:02"), at("18T06:01:02").replace(year=2036), OF_RUNS)
    widths = {level.number: level.width for level in OF_RUNS}
    found = [(part.end - part.start) // widths[number] for number, part in made.windows]
    assert sum(found) < 170
