"""What a person at a terminal sees of a rebuild."""

import io

import pytest
from rich.console import Console

from projector.commands import rebuild_progress
from projector.generations.progress import Progress


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of a usual width."""
    written = io.StringIO()
    monkeypatch.setattr(
        rebuild_progress,
        "Console",
        lambda *, stderr: Console(file=written, force_terminal=True, width=120, no_color=True),
    )
    return written


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the time is, as progress is shown by it."""
    clock = Clock()
    monkeypatch.setattr("projector.commands.rebuild_progress.time.monotonic", lambda: clock.now)
    return clock


def told(done: int, first: int, second: int) -> Progress:
    topics = {"first": (first, 1000), "second": (second, 3000)}
    return Progress("load", done, 4000, done / 10, topics)


def test_each_topic_has_its_rate_and_its_time_left(screen: io.StringIO, clock: Clock) -> None:
    with rebuild_progress.shown() as watcher:
        watcher(told(0, 0, 0))
        clock.now = 110.0
        watcher(told(2000, 1000, 1000))
        clock.now = 120.0
        watcher(told(2500, 1000, 1500))
    last = screen.getvalue().rpartition("load       first")[2]
    assert "1,000 of 1,000 events, 100 events/s, 0:00 left" in last
    assert "1,500 of 3,000 events, 75 events/s, 0:20 left" in last
    assert "2,500 of 4,000 events, 250 events/s, 0:06 left" in last


def test_elsewhere_each_topic_that_is_not_done_has_a_line(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with rebuild_progress.shown() as watcher:
        watcher(told(0, 0, 0))
        clock.now = 101.0
        watcher(told(200, 100, 100))
        capsys.readouterr()
        clock.now = 110.0
        watcher(told(1900, 900, 1000))
        clock.now = 120.0
        watcher(told(2500, 1000, 1500))
    assert capsys.readouterr().err.splitlines() == [
        "load: 1,900 of 4,000 events, 190 events/s, 0:11 left",
        "load first: 900 of 1,000 events, 90 events/s, 0:01 left",
        "load second: 1,000 of 3,000 events, 100 events/s, 0:20 left",
        "load: 2,500 of 4,000 events, 250 events/s, 0:06 left",
        "load second: 1,500 of 3,000 events, 75 events/s, 0:20 left",
    ]
