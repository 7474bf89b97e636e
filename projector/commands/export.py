"""The command that keeps the history of the topics in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import UsageError

if TYPE_CHECKING:
    from projector.operations.export import Exported
    from projector.settings import ProjectorSettings

app = typer.Typer()


@app.command()
def export(
    out: Annotated[
        str,
        typer.Option(
            envvar="RUNFOLD_EXPORT_OUT",
            help="JSONL file to write, - is standard output; compressed when it ends in .zst.",
        ),
    ] = "-",
    since_position: Annotated[
        bool,
        typer.Option(
            "--since-position",
            envvar="RUNFOLD_EXPORT_SINCE_POSITION",
            help="Only what came after the positions at which the last export ended; into a new"
            " file, so that what was exported before is kept.",
        ),
    ] = False,
) -> None:
    """Write the history of all topics to a file that publish and rebuild read."""
    import asyncio

    from contracts.logging import configure
    from contracts.settings import load
    from projector.settings import ProjectorSettings

    if since_position and Path(out).is_file():
        raise UsageError(
            f"--out: {out} is there already, and what came before --since-position may be in it"
        )
    settings = load(ProjectorSettings)
    configure(settings.log_format, clients=False)
    exported = asyncio.run(_export(settings, out, since_position=since_position))
    for topic, total in sorted(exported.left_out.items()):
        typer.echo(f"{topic}: {total} records are no events in JSON and were left out", err=True)
    typer.echo(f"{exported.written.total()} records exported", err=True)


async def _export(settings: "ProjectorSettings", out: str, *, since_position: bool) -> "Exported":
    from projector.database import connected
    from projector.jsonl import writing
    from projector.operations.export import export, remember, spans_to_export

    async with connected(settings.database_url) as connection:
        plan = await spans_to_export(settings, connection, since_position=since_position)
        with writing(out) as file:
            exported = await export(settings, plan, file)
        await remember(connection, exported)
    return exported
