"""Commands for the generations: which there are, which is active, in what they differ."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from contracts.errors import OperationError
from contracts.times import rfc3339

if TYPE_CHECKING:
    from datetime import datetime

    from projector.generations.catalog import Generation
    from projector.generations.diff import Diff

app = typer.Typer(
    help="List, activate, drop or compare generations of the views.", no_args_is_help=True
)

COLUMNS: Final = ("name", "state", "as of", "created at", "activated at", "size", "rebuild")

Name = Annotated[str, typer.Argument(help="Name of the generation.")]


@app.command("list")
def list_generations() -> None:
    """List all generations and the state of each."""
    import asyncio

    from contracts.settings import DatabaseSettings, load
    from projector.commands.report import print_rows
    from projector.database import connected
    from projector.generations import catalog

    async def found() -> "list[Generation]":
        async with connected(load(DatabaseSettings).database_url) as connection:
            return await catalog.generations(connection)

    print_rows("generation", COLUMNS, [_row(each) for each in asyncio.run(found())])


@app.command()
def activate(name: Name) -> None:
    """Have readers and workers go over to a generation, once it has caught up: the way back too."""
    import asyncio

    from contracts.logging import configure
    from contracts.settings import load
    from projector.generations import catch_up
    from projector.settings import ProjectorSettings

    settings = load(ProjectorSettings)
    configure(settings.log_format, clients=False)
    is_new = asyncio.run(catch_up.activate(settings, name))
    typer.echo(f"generation {name} is active{'' if is_new else ' already'}")


@app.command()
def drop(name: Name) -> None:
    """Drop a generation, also one whose rebuild was killed; never the active one."""
    import asyncio

    from contracts.settings import DatabaseSettings, load
    from projector.database import connected
    from projector.generations import catalog

    async def dropped() -> None:
        async with connected(load(DatabaseSettings).database_url) as connection:
            await catalog.drop(connection, name)

    asyncio.run(dropped())
    typer.echo(f"generation {name} is dropped")


@app.command()
def diff(
    one: Annotated[str, typer.Argument(help="Name of a generation.")],
    other: Annotated[str, typer.Argument(help="Name of another one.")],
) -> None:
    """Name the runs in which two generations differ, and the fields; status 1 where they do."""
    import asyncio

    from contracts.settings import DatabaseSettings, load
    from projector.generations.compare import compare

    found, apart = asyncio.run(compare(load(DatabaseSettings).database_url, one, other))
    print_diff(found)
    if apart:
        typer.echo(f"they stand {apart} events apart: some of it may come of that", err=True)
    if found.total:
        raise OperationError(f"generations {one!r} and {other!r} differ in {found.total} rows")


def print_diff(found: "Diff", most: int | None = None) -> None:
    """Print how many rows differ, by table, and those that are named, `most` of them at most."""
    from projector.commands.report import printable

    if not found.total:
        typer.echo("no row differs")
    for table, total in found.totals.items():
        typer.echo(f"{table}: {total} rows differ")
    shown = found.named[:most]
    for each in shown:
        typer.echo(printable(str(each)))
    if found.total > len(shown):
        typer.echo(f"and {found.total - len(shown)} more")


def _row(it: "Generation") -> tuple[str, ...]:
    rebuild = "-" if it.phase is None else it.phase
    return (
        it.name,
        it.state,
        _time(it.as_of),
        _time(it.created_at),
        _time(it.activated_at),
        f"{it.bytes / 1_048_576:.1f} MiB",
        f"{rebuild}: {it.error}" if it.error else rebuild,
    )


def _time(moment: "datetime | None") -> str:
    return "-" if moment is None else rfc3339(moment)
