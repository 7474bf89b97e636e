"""Commands that tell how the views are."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from projector.operations.audit import Audit
    from projector.operations.status import Ends, Status
    from projector.settings import ProjectorSettings

app = typer.Typer()

AsJson = Annotated[
    bool, typer.Option("--json", envvar="RUNFOLD_STATUS_JSON", help="Print one JSON object.")
]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show the generation, positions and lag, dead letters, and workers."""
    import asyncio

    from contracts.logging import configure
    from contracts.settings import load
    from projector.commands.status_report import print_status
    from projector.settings import ProjectorSettings

    settings = load(ProjectorSettings)
    configure(settings.log_format, clients=False)
    found = asyncio.run(_status(settings))
    if as_json:
        typer.echo(found.as_json())
    else:
        print_status(found)


@app.command()
def audit() -> None:
    """Prove that nothing was skipped and that the counters are right; status 1 where not."""
    import asyncio

    from contracts.errors import OperationError
    from contracts.settings import DatabaseSettings, load

    result = asyncio.run(_audit(load(DatabaseSettings).database_url))
    typer.echo(result.summary)
    for fault in result.faults:
        typer.echo(fault)
    if result.faults:
        raise OperationError("the audit failed: see the lines above")
    typer.echo("every offset is accounted for, every counter equals a recount")


async def _audit(database_url: str) -> "Audit":
    from projector.database import connected
    from projector.operations.audit import audit

    async with connected(database_url) as connection:
        return await audit(connection)


async def _status(settings: "ProjectorSettings") -> "Status":
    from projector.database import connected
    from projector.operations.status import status

    async with connected(settings.database_url) as connection:
        return await status(connection, await _ends(settings))


async def _ends(settings: "ProjectorSettings") -> "Ends":
    from projector.kafka.topics import BrokerAway
    from projector.operations.status import broker_ends

    try:
        return await broker_ends(settings)
    except BrokerAway as error:
        # What the database knows is worth showing, most of all when the broker is away.
        typer.echo(f"runfold: {error}; lag is what the workers last reported", err=True)
        return {}
