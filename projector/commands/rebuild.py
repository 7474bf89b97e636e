"""The command that makes all views anew from the history."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from contracts.errors import UsageError
from projector.commands import rates

if TYPE_CHECKING:
    from projector.generations.diff import Diff
    from projector.settings import ProjectorSettings

app = typer.Typer()

EXAMPLE: Final = "2026-05-18T06:00:00Z"
NAMED: Final = 20
"""Differing rows that are named; `generations diff` names more."""


@app.command()
def rebuild(  # noqa: PLR0917 - options, each given by its name
    name: Annotated[
        str | None,
        typer.Option(
            envvar="RUNFOLD_REBUILD_NAME",
            help="Name of the new generation: 1 to 40 of a-z, 0-9 and _.",
            show_default="the date and time",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            envvar="RUNFOLD_REBUILD_UNTIL",
            help="Views as of this instant; such a generation is never activated.",
        ),
    ] = None,
    from_file: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="RUNFOLD_REBUILD_FROM_FILE",
            help="History to read before the topics, as `runfold export` writes it; repeatable.",
            exists=True,
            dir_okay=False,
            resolve_path=True,
        ),
    ] = None,
    activate: Annotated[
        bool | None,
        typer.Option(
            "--activate/--no-activate",
            envvar="RUNFOLD_REBUILD_ACTIVATE",
            help="Swap it in when it has caught up, or leave it standing by.",
            show_default="activate",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            envvar="RUNFOLD_REBUILD_WORKERS", min=1, max=64, help="Processes.", show_default="2"
        ),
    ] = None,
    max_rate: Annotated[
        float | None,
        typer.Option(
            envvar="RUNFOLD_REBUILD_MAX_RATE",
            min=1,
            max=rates.HIGHEST,
            callback=rates.number,
            help="Most events per second.",
            show_default="as fast as it goes",
        ),
    ] = None,
    allow_gap: Annotated[
        bool | None,
        typer.Option(
            "--allow-gap",
            envvar="RUNFOLD_REBUILD_ALLOW_GAP",
            help="Do without events that the broker no longer has.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            envvar="RUNFOLD_REBUILD_RESUME",
            help="Go on with the rebuild of --name, as it was asked for at first where nothing"
            " else is said now.",
        ),
    ] = False,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify",
            envvar="RUNFOLD_REBUILD_VERIFY",
            help="Compare with the active generation; activate only when nothing differs.",
        ),
    ] = None,
    expect_changes: Annotated[
        list[str] | None,
        typer.Option(
            envvar="RUNFOLD_REBUILD_EXPECT_CHANGES",
            help="What may differ, as `generations diff` names it: run.summary.status, or run;"
            " repeatable, with --verify.",
        ),
    ] = None,
) -> None:
    """Make all views anew from the history, beside the live ones, and swap them in."""
    from contracts.logging import configure
    from contracts.settings import load
    from projector.settings import ProjectorSettings

    if resume and name is None:
        raise UsageError("--resume: say which rebuild to go on with, by --name")
    settings = load(ProjectorSettings)
    configure(settings.log_format, clients=False)
    options: dict[str, object] = {
        "workers": workers,
        "until": None if until is None else _moment(until),
        "files": tuple(from_file) if from_file else None,
        "max_rate": max_rate,
        "allow_gap": allow_gap,
        "activate": activate,
        "verify": verify,
        "expect_changes": tuple(expect_changes) if expect_changes else None,
    }
    given = {option: value for option, value in options.items() if value is not None}
    _run(settings, _checked(name or f"{datetime.now(UTC):g%Y%m%d_%H%M%S}"), given, resume=resume)


def _run(
    settings: "ProjectorSettings", name: str, given: dict[str, object], *, resume: bool
) -> None:
    import asyncio

    from projector.generations import crew

    crew.get_ready()
    from projector.commands.rebuild_progress import shown
    from projector.generations import rebuild
    from projector.generations.plan import Options

    try:
        with shown() as watcher:
            work = (
                rebuild.resume(settings, name, watcher, given)
                if resume
                else rebuild.rebuild(settings, Options.asked_for(name, given), watcher)
            )
            differences = asyncio.run(work)
    except rebuild.UnexpectedChanges as changes:
        _print(changes.diff)
        raise
    except KeyboardInterrupt:
        typer.echo(
            f"runfold: go on with `runfold rebuild --name {name} --resume`, or"
            f" `runfold generations drop {name}`; the active generation is untouched",
            err=True,
        )
        raise
    if differences is not None:
        _print(differences)
    typer.echo(f"generation {name} is made: see `runfold generations list`")


def _print(differences: "Diff") -> None:
    from projector.commands.generations import print_diff

    print_diff(differences, NAMED)


def _checked(name: str) -> str:
    from projector.generations.schema import NAME

    if not NAME.fullmatch(name):
        raise UsageError(f"--name: {name!r} is not 1 to 40 of a-z, 0-9 and _")
    return name


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until: {text!r} is no timestamp like {EXAMPLE}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
