"""Commands that make a history and send one to the topics."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from contracts.errors import UsageError
from projector.commands import rates

if TYPE_CHECKING:
    from projector.demo.history import Generated
    from projector.jsonl import Record

app = typer.Typer()

FIRST_TIMESTAMP: Final = "2026-05-18T06:00:00Z"
MOST_RUNS: Final = 100_000_000
"""Some sixty years of them."""
FIRST_YEAR, LAST_YEAR = 1970, 9000
"""When a history may begin: it has room for all its runs, and for what they look back on."""


@app.command()
def generate(
    runs: Annotated[
        int,
        typer.Option(envvar="RUNFOLD_GENERATE_RUNS", min=0, max=MOST_RUNS, help="How many runs."),
    ] = 100,
    seed: Annotated[
        int, typer.Option(envvar="RUNFOLD_GENERATE_SEED", help="The same seed, the same bytes.")
    ] = 1,
    start: Annotated[
        str, typer.Option(envvar="RUNFOLD_GENERATE_START", help="When the first run begins.")
    ] = FIRST_TIMESTAMP,
    out: Annotated[
        str,
        typer.Option(
            envvar="RUNFOLD_GENERATE_OUT",
            help="JSONL file to write, - is standard output; compressed when it ends in .zst.",
        ),
    ] = "-",
    rate: Annotated[
        float | None,
        typer.Option(
            envvar="RUNFOLD_GENERATE_RATE",
            min=0.001,
            max=rates.HIGHEST,
            callback=rates.number,
            help="Send to the topics instead, so many events a second.",
            show_default="write a file",
        ),
    ] = None,
) -> None:
    """Make a synthetic history, to a file or to the topics."""
    from projector.demo.history import history
    from projector.jsonl import STANDARD_STREAM, writing

    events = history(seed, runs, _moment(start))
    if rate is None:
        with writing(out) as file:
            for event in events:
                file.write(event.line)
    elif out == STANDARD_STREAM:
        _publish(_records(events), "generated record", rate)
    else:
        raise UsageError("give --out or --rate, not both: events go to a file or to the topics")


@app.command()
def publish(
    file: Annotated[
        str, typer.Argument(help="JSONL file, compressed if it ends in .zst; - is standard input.")
    ],
) -> None:
    """Send a history to the topics: lines of {"topic": suffix, "key": text, "value": event}."""
    from projector.jsonl import STANDARD_STREAM, read

    if file == STANDARD_STREAM:
        # Waiting for input nothing else runs, asyncio's own way to take Ctrl-C neither.
        signal.signal(signal.SIGINT, _interrupt)
    _publish(read(file), f"{file}, line")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _publish(records: "Iterator[Record]", origin: str, rate: float | None = None) -> None:
    import asyncio

    from contracts.logging import configure
    from contracts.settings import load
    from projector.kafka.publishing import paced, publish
    from projector.settings import TopicSettings

    settings = load(TopicSettings)
    configure(settings.log_format, clients=False)
    sent = asyncio.run(publish(settings, paced(records, rate), origin))
    for topic, total in sorted(sent.items()):
        typer.echo(f"{topic}: {total}")
    typer.echo(f"{sent.total()} records published")


def _records(events: "Iterator[Generated]") -> "Iterator[Record]":
    from projector.jsonl import Record

    for number, event in enumerate(events, start=1):
        yield Record(number, event.topic, event.key.encode(), event.value)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start: {text!r} is no timestamp like {FIRST_TIMESTAMP}") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise UsageError(f"--start: {text!r} is not in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
