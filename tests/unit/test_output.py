"""What commands print: tables and a bar on a terminal, plain lines elsewhere."""

import io
import sys

import pytest

from projector import output
from projector.generations.progress import Progress

ROWS = [
    {"name": "main", "is_gone": True, "end": None, "value": b"\xff\x1b[31m"},
    {"name": "[red]x", "is_gone": False, "end": 7, "value": "a"},
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in place of standard output and error."""
    written = Terminal()
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", written)
    monkeypatch.setattr(sys, "stderr", written)
    return written


def progress(done: int, total: int = 4000, phase: str = "load") -> Progress:
    return Progress(phase, done, total, done / 10)


def test_a_row_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows("thing", ROWS)
    assert capsys.readouterr().out.splitlines() == [
        r"thing name=main is_gone=yes end=- value=\xff\x1b[31m",
        "thing name=[red]x is_gone=no end=7 value=a",
    ]


def test_rows_are_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    output.print_rows("thing", ROWS)
    output.print_rows("other thing", [])
    said = screen.getvalue()
    assert all(text in said for text in ("Things", "is_gone", "[red]x", r"\x1b[31m"))
    assert "\x1b[31m" not in said
    assert said.endswith("Other things: none\n")


def test_a_rebuild_on_a_terminal_is_one_bar_a_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with output.progress_shown() as watcher:
        watcher(progress(2500))
        watcher(progress(0, 0, "settle"))
    last = screen.getvalue().rpartition("load ")[2]
    assert "2,500 of 4,000 events, 250 events/s, 0:06 left" in last
    assert "settle" in last


def test_elsewhere_it_is_a_line_a_phase_and_some_in_between(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([100.0, 101.0, 110.0, 111.0, 112.0])
    monkeypatch.setattr("projector.output.time.monotonic", lambda: next(clock))
    with output.progress_shown() as watcher:
        for each in (progress(0), progress(200), progress(1900), progress(4000)):
            watcher(each)
        watcher(progress(0, 0, "settle"))
    assert capsys.readouterr().err.splitlines() == [
        "load: 0 of 4,000 events, 0 events/s",
        "load: 1,900 of 4,000 events, 190 events/s, 0:11 left",
        "load: 4,000 of 4,000 events, 400 events/s, 0:00 left",
        "settle",
    ]
