"""Commands for the records that could not be used."""

import getpass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from contracts.errors import OperationError
from contracts.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import asyncpg

T = TypeVar("T")

LAST_NUMBER: Final = 2**63 - 1

app = typer.Typer(
    help="Look at, retry or discard records that could not be used.", no_args_is_help=True
)

Numbers = Annotated[
    list[int],
    typer.Argument(min=1, max=LAST_NUMBER, help="Numbers of dead letters, as in the list."),
]
By = Annotated[
    str,
    typer.Option(
        envvar="RUNFOLD_BY",
        default_factory=getpass.getuser,
        show_default="the user at this machine",
        help="Who decides; kept with the dead letter.",
    ),
]


def _known(reason: str | None) -> str | None:
    from contracts.decoding import Reason

    if reason is not None and reason not in set(Reason):
        raise typer.BadParameter(f"{reason!r} is not one of {', '.join(Reason)}")
    return reason


class State(StrEnum):
    """What has become of a dead letter."""

    PARKED = "parked"
    RETRIED = "retried"
    DISCARDED = "discarded"


@app.command("list")
def list_letters(
    reason: Annotated[
        str | None,
        typer.Option(
            envvar="RUNFOLD_DEAD_LETTERS_REASON",
            callback=_known,
            help="Of this reason only.",
        ),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(
            envvar="RUNFOLD_DEAD_LETTERS_TOPIC", help="Of this topic only, its full name."
        ),
    ] = None,
    state: Annotated[
        State | None, typer.Option(envvar="RUNFOLD_DEAD_LETTERS_STATE", help="In this state only.")
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(
            envvar="RUNFOLD_DEAD_LETTERS_BEFORE",
            min=1,
            max=LAST_NUMBER,
            help="Older than this number: the next page.",
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            envvar="RUNFOLD_DEAD_LETTERS_LIMIT", min=1, max=100_000, help="At most so many."
        ),
    ] = 50,
) -> None:
    """List dead letters, newest first."""
    from projector.commands.report import print_rows
    from projector.operations import dead_letters

    async def found(connection: "asyncpg.Connection") -> "list[asyncpg.Record]":
        return await dead_letters.list_letters(
            connection, reason=reason, topic=topic, state=state, before=before, limit=limit
        )

    columns = ("id", "reason", "state", "topic", "partition", "offset", "created_at", "message")
    rows = [tuple(_cell(row[column]) for column in columns) for row in _on_database(found)]
    print_rows("dead letter", columns, rows)


@app.command()
def show(
    number: Annotated[
        int, typer.Argument(min=1, max=LAST_NUMBER, help="Number of the dead letter.")
    ],
) -> None:
    """Show one dead letter whole, its bytes as text where they are."""
    from projector.operations import dead_letters

    async def found(connection: "asyncpg.Connection") -> "Mapping[str, object]":
        return await dead_letters.show(connection, number)

    for name, value in _on_database(found).items():
        typer.echo(f"{name}: {_cell(value)}")


@app.command()
def retry(numbers: Numbers, by: By) -> None:
    """Decode parked records again with today's code and apply what they say."""
    from contracts.settings import TopicPrefixSettings, load
    from projector.operations import dead_letters

    prefix = load(TopicPrefixSettings).topic_prefix
    _each(numbers, "retried", lambda it, number: dead_letters.retry(it, number, prefix, by))


@app.command()
def discard(numbers: Numbers, by: By) -> None:
    """Set parked records aside; they are kept, marked by whom."""
    from projector.operations import dead_letters

    _each(numbers, "discarded", lambda it, number: dead_letters.discard(it, number, by))


def _each(
    numbers: list[int], done: str, work: "Callable[[asyncpg.Connection, int], Awaitable[None]]"
) -> None:
    """Do the work for every number, whatever becomes of the others; fail if any did."""

    async def on_all(connection: "asyncpg.Connection") -> list[str]:
        faults = []
        for number in numbers:
            try:
                await work(connection, number)
            except OperationError as error:
                faults.append(str(error))
            else:
                typer.echo(f"dead letter {number} {done}")
        return faults

    faults = _on_database(on_all)
    if faults:
        raise OperationError("; ".join(faults))


def _on_database(work: "Callable[[asyncpg.Connection], Awaitable[T]]") -> T:
    import asyncio

    from contracts.settings import DatabaseSettings, load
    from projector.database import as_writer

    async def connected() -> T:
        async with as_writer(load(DatabaseSettings).database_url) as connection:
            return await work(connection)

    return asyncio.run(connected())


def _cell(value: object) -> str:
    """One printable line: what a bad record holds may not write to the terminal as it likes."""
    match value:
        case bytes():
            text = value.decode(errors="backslashreplace")
        case datetime():
            text = rfc3339(value)
        case _:
            text = str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
