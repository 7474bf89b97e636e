"""The command that computes stored rows again."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from contracts.errors import UsageError

if TYPE_CHECKING:
    from projector.generations.repair import Repaired

app = typer.Typer()


@app.command()
def repair(
    run: Annotated[
        UUID | None, typer.Option(envvar="RUNFOLD_REPAIR_RUN", help="Id of a run.")
    ] = None,
    incident: Annotated[
        str | None,
        typer.Option(
            envvar="RUNFOLD_REPAIR_INCIDENT", help="Id of an incident: the runs that mention it."
        ),
    ] = None,
) -> None:
    """Compute runs again from stored facts and say what changed: nothing, normally."""
    import asyncio

    from contracts.settings import DatabaseSettings, load
    from projector.commands.report import printable

    if (run is None) == (incident is None):
        raise UsageError("give either --run or --incident")
    url = load(DatabaseSettings).database_url
    repaired = asyncio.run(_repair(url, run, incident))
    for change in repaired.changes:
        typer.echo(printable(change))
    typer.echo(f"{repaired.runs} runs computed again, {len(repaired.changes)} changes")


async def _repair(database_url: str, run: UUID | None, incident: str | None) -> "Repaired":
    from projector.database import as_writer
    from projector.generations import repair

    async with as_writer(database_url) as connection:
        if incident is None:
            return await repair.repair_run(connection, str(run))
        return await repair.repair_incident(connection, incident)
