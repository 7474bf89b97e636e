"""What commands print: tables on a terminal and plain lines elsewhere, and how far a rebuild is."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

import typer

from contracts.times import rfc3339

if TYPE_CHECKING:
    from projector.generations.progress import Progress, Watcher

LINE_SECONDS: Final = 5.0
BAR_WIDTH: Final = 20


def print_rows(kind: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Print the rows of one `kind` of thing to standard output."""
    cells = [{name: cell(value) for name, value in row.items()} for row in rows]
    if sys.stdout.isatty():
        _print_table(f"{kind}s".capitalize(), cells)
        return
    for row in cells:
        typer.echo(" ".join((kind, *(f"{name}={text}" for name, text in row.items()))))


def _print_table(title: str, rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        typer.echo(f"{title}: none")
        return
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    Console(highlight=False).print(table)


def cell(value: object) -> str:
    """Return one printable line: text of a record must not control the terminal."""
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:.0f}"
        case bytes():
            text = value.decode(errors="backslashreplace")
        case datetime():
            text = rfc3339(value)
        case _:
            text = str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def progress_shown() -> "Iterator[Watcher]":
    """Yield what to call with every progress: it draws a bar for each phase, or prints lines."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(BAR_WIDTH),
        TextColumn("{task.fields[numbers]}"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def show(progress: "Progress") -> None:
            if progress.phase not in tasks:
                tasks[progress.phase] = bars.add_task(progress.phase, numbers="")
            bars.update(
                tasks[progress.phase],
                completed=progress.done,
                total=progress.total or None,
                numbers=_numbers(progress),
            )

        yield show


class _Lines:
    """One line for every phase, and one every few seconds in between."""

    def __init__(self) -> None:
        self._phase = ""
        self._due = 0.0

    def show(self, progress: "Progress") -> None:
        now = time.monotonic()
        is_done = 0 < progress.total <= progress.done
        if progress.phase != self._phase or now >= self._due or is_done:
            self._phase, self._due = progress.phase, now + LINE_SECONDS
            numbers = _numbers(progress)
            typer.echo(f"{progress.phase}: {numbers}" if numbers else progress.phase, err=True)


def _numbers(progress: "Progress") -> str:
    """Return how much is done, how fast, and the time left; "" for a phase without numbers."""
    if not progress.done and not progress.total:
        return ""
    of_total = f" of {progress.total:,}" if progress.total else ""
    left = progress.seconds_left
    eta = "" if left is None else f", {int(left) // 60}:{int(left) % 60:02} left"
    speed = f"{progress.per_second:,.0f} {progress.unit}/s"
    return f"{progress.done:,}{of_total} {progress.unit}, {speed}{eta}"
