"""The status for people."""

from typing import TYPE_CHECKING, Final

import typer

from projector.commands.report import Cells, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projector.operations.status import RebuildStatus, Status, WorkerStatus

UNKNOWN: Final = "?"
PARTITIONS: Final = ("topic", "partition", "position", "end", "lag")
DEAD_LETTERS: Final = ("reason", "state", "total")
REBUILDS: Final = ("generation", "phase", "running", "done", "total", "per second", "last error")
WORKERS: Final = ("worker", "host", "pid", "generation", "partitions", "seen at", "last error")


def print_status(status: "Status") -> None:
    """Print the status to standard output."""
    typer.echo(f"generation {status.generation}, {status.lag} events behind")
    print_rows("partition", PARTITIONS, _partitions(status))
    print_rows("dead letter", DEAD_LETTERS, _dead_letters(status))
    print_rows("worker", WORKERS, map(_worker, status.workers))
    print_rows("rebuild", REBUILDS, map(_rebuild, status.rebuilds))


def _partitions(status: "Status") -> "Iterator[Cells]":
    for it in status.partitions:
        numbers = (it.position, it.end, it.lag)
        yield (
            it.topic,
            str(it.partition),
            *(UNKNOWN if number is None else str(number) for number in numbers),
        )


def _dead_letters(status: "Status") -> "Iterator[Cells]":
    for it in status.dead_letters:
        yield it.reason, it.state, str(it.total)


def _worker(it: "WorkerStatus") -> Cells:
    seen = f"{it.seen_at} (gone)" if it.is_gone else it.seen_at
    return (
        it.worker_id,
        it.host,
        str(it.pid),
        it.generation,
        str(it.partitions),
        seen,
        it.last_error or "-",
    )


def _rebuild(it: "RebuildStatus") -> Cells:
    return (
        it.generation,
        it.phase,
        "yes" if it.is_running else "no",
        str(it.done),
        str(it.total),
        "-" if it.per_second is None else f"{it.per_second:.0f}",
        it.error or "-",
    )
