"""How far a rebuild is, for people: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from projector.generations.progress import Progress as Told
    from projector.generations.progress import Watcher

LINE_SECONDS: Final = 5.0
OF_ALL: Final = "in all"
BAR_WIDTH: Final = 20


@contextmanager
def shown() -> "Iterator[Watcher]":
    """Something to call with every progress, which shows it while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().show
        return
    columns = (
        TextColumn("{task.fields[phase]:<10} {task.description}"),
        BarColumn(BAR_WIDTH),
        TextColumn("{task.fields[numbers]}"),
    )
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars).show


def line(progress: "Told") -> str:
    """Return a progress as one line."""
    if not progress.done and not progress.total:
        return progress.phase
    return f"{progress.phase}: {numbers(progress)}"


def numbers(progress: "Told") -> str:
    """Return how many are done and to do, how fast, and how long it takes yet."""
    done = f"{progress.done:,} of {progress.total:,}" if progress.total else f"{progress.done:,}"
    left = progress.seconds_left
    eta = "" if left is None else f", {int(left) // 60}:{int(left) % 60:02} left"
    return f"{done} {progress.unit}, {progress.per_second:,.0f} {progress.unit}/s{eta}"


class _Rates:
    """How fast each topic comes on."""

    def __init__(self) -> None:
        self._began: dict[tuple[str, str], tuple[float, int]] = {}
        """When a topic was first told of in a phase, and how much of it was done then."""

    def by_topic(self, progress: "Told") -> "Iterator[tuple[str, Told]]":
        """Yield the progress of each topic, at its own rate."""
        for topic, (done, total) in sorted(progress.topics.items()):
            rate = self._rate((progress.phase, topic), done)
            yield topic, replace(progress, done=done, total=total, per_second=rate)

    def _rate(self, key: tuple[str, str], done: int) -> float:
        now = time.monotonic()
        began, at_first = self._began.setdefault(key, (now, done))
        return (done - at_first) / (now - began) if now > began else 0.0


class _Lines:
    """Lines for every phase, and some every few seconds in between."""

    def __init__(self) -> None:
        self._rates = _Rates()
        self._phase = ""
        self._due = 0.0

    def show(self, progress: "Told") -> None:
        now = time.monotonic()
        topics = [*self._rates.by_topic(progress)]
        is_whole = bool(progress.total) and progress.done >= progress.total
        if progress.phase != self._phase or now >= self._due or is_whole:
            self._phase, self._due = progress.phase, now + LINE_SECONDS
            typer.echo(line(progress), err=True)
            for topic, it in topics:
                if it.done < it.total:
                    typer.echo(f"{it.phase} {topic}: {numbers(it)}", err=True)


class _Bars:
    """A bar for each topic and one for all of them."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._rates = _Rates()
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def show(self, progress: "Told") -> None:
        for topic, it in self._rates.by_topic(progress):
            self._set(topic, it)
        self._set(OF_ALL, progress)

    def _set(self, name: str, it: "Told") -> None:
        key = it.phase, name
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(name, phase=it.phase, numbers="")
        if self._bars.tasks[self._tasks[key]].finished:
            # what is done is not to become slower while others are at work
            return
        said = numbers(it) if it.done or it.total else ""
        self._bars.update(self._tasks[key], completed=it.done, total=it.total or None, numbers=said)
