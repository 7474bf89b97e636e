"""The commands of who operates runfold: look at the views, make them anew, repair them."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar
from uuid import UUID

import typer
from typer import Argument, Option

from contracts.errors import OperationError, UsageError
from projector.output import cell, print_rows, progress_shown

if TYPE_CHECKING:
    import asyncpg

    from contracts.settings import LogSettings
    from projector.generations.diff import Diff
    from projector.generations.schema import Generation
    from projector.operations.status import Status
    from projector.settings import ProjectorSettings

T = TypeVar("T")
S = TypeVar("S", bound="LogSettings")

NAMED: Final = 20
"""Differing rows that `rebuild` names; `generations diff` names more."""
LAST_NUMBER: Final = 2**63 - 1
RFC3339: Final = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]

app = typer.Typer()
generations = typer.Typer(
    help="List, activate, drop or compare generations of the views.", no_args_is_help=True
)
dead_letters = typer.Typer(
    help="Look at, retry or discard records that could not be used.", no_args_is_help=True
)

Name = Annotated[str, Argument(help="Name of the generation.")]
Numbers = Annotated[
    list[int],
    Argument(min=1, max=LAST_NUMBER, help="Numbers of dead letters, as in the list."),
]
By = Annotated[
    str,
    Option(
        default_factory=getpass.getuser,
        show_default="the user at this machine",
        help="Who decides; kept with the dead letter.",
    ),
]


def load_quiet(settings: type[S]) -> S:
    """Load settings and log as they say, but for what the Kafka client logs at every attempt."""
    from contracts.logging import configure
    from contracts.settings import load

    loaded = load(settings)
    configure(loaded.log_format, clients=False)
    return loaded


def _on_database(
    work: "Callable[[asyncpg.Connection], Awaitable[T]]", *, as_writer: bool = False
) -> T:
    """Return what `work` returns, on a connection for it alone."""
    from contracts.settings import DatabaseSettings, load
    from projector import database

    connected = database.as_writer if as_writer else database.connected

    async def working() -> T:
        async with connected(load(DatabaseSettings).database_url) as connection:
            return await work(connection)

    return asyncio.run(working())


@app.command()
def export(
    out: Annotated[
        str,
        Option(help="JSONL file, compressed if it ends in .zst; - is standard output."),
    ] = "-",
) -> None:
    """Write the history of all topics to a file that publish and rebuild read."""
    from projector.jsonl import writing
    from projector.operations.export import export as write
    from projector.settings import ProjectorSettings

    settings = load_quiet(ProjectorSettings)
    with writing(out) as file:
        exported = asyncio.run(write(settings, file))
    for topic, total in sorted(exported.left_out.items()):
        typer.echo(f"{topic}: {total} records are no events in JSON and were left out", err=True)
    typer.echo(f"{exported.written.total()} records exported", err=True)


@app.command()
def status(
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the generation, positions and lag, dead letters, and workers."""
    from projector.settings import ProjectorSettings

    found = asyncio.run(_status(load_quiet(ProjectorSettings)))
    if json:
        typer.echo(found.as_json())
        return
    typer.echo(f"generation {found.generation}, {found.lag} events behind")
    print_rows("partition", found.partitions)
    print_rows("dead letter", found.dead_letters)
    print_rows("worker", found.workers)
    print_rows("rebuild", found.rebuilds)


async def _status(settings: "ProjectorSettings") -> "Status":
    from projector.database import connected
    from projector.kafka.topics import BrokerAway
    from projector.operations.status import broker_ends, status

    async with connected(settings.database_url) as connection:
        try:
            ends = await broker_ends(settings)
        except BrokerAway as error:
            # what the database knows is worth showing, most of all when the broker is away
            typer.echo(f"runfold: {error}; lag is what the workers last reported", err=True)
            ends = {}
        return await status(connection, ends)


@app.command()
def audit() -> None:
    """Prove that nothing was skipped and that the counters are right; status 1 where not."""
    from projector.operations.audit import audit

    result = _on_database(audit)
    typer.echo(result.summary)
    for fault in result.faults:
        typer.echo(fault)
    if result.faults:
        raise OperationError("the audit failed: see the lines above")
    typer.echo("every offset is accounted for, every counter equals a recount")


@app.command()
def rebuild(
    *,
    name: Annotated[
        str | None,
        Option(
            help="Name of the new generation: 1 to 40 of a-z, 0-9 and _.",
            show_default="the date and time",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        Option(
            formats=RFC3339,
            metavar="<RFC 3339>",
            help="Views as of this instant; such a generation is never activated.",
        ),
    ] = None,
    from_file: Annotated[
        list[Path] | None,
        Option(
            help="History to read before the topics, as `runfold export` writes it; repeatable.",
            exists=True,
            dir_okay=False,
            resolve_path=True,
        ),
    ] = None,
    activate: Annotated[
        bool | None,
        Option(
            help="Swap it in when it has caught up, or leave it standing by.",
            show_default="activate",
        ),
    ] = None,
    workers: Annotated[
        int | None, Option(min=1, max=64, help="Processes.", show_default="2")
    ] = None,
    allow_gap: Annotated[
        bool | None,
        Option("--allow-gap", help="Do without events that the broker no longer has."),
    ] = None,
    resume: Annotated[
        bool,
        Option(
            "--resume",
            help="Resume the rebuild of --name, with the options it had and those given now.",
        ),
    ] = False,
    verify: Annotated[
        bool | None,
        Option(
            "--verify",
            help="Compare with the active generation; activate only when nothing differs.",
        ),
    ] = None,
    expect_changes: Annotated[
        list[str] | None,
        Option(
            help="What may differ, as `generations diff` names it: run.summary.status, or run;"
            " repeatable, with --verify."
        ),
    ] = None,
) -> None:
    """Make all views anew from the history, beside the live ones, and swap them in."""
    from projector.generations.schema import NAME
    from projector.settings import ProjectorSettings

    if resume and name is None:
        raise UsageError("--resume: say which rebuild, by --name")
    name = name or f"{datetime.now(UTC):g%Y%m%d_%H%M%S}"
    if not NAME.fullmatch(name):
        raise UsageError(f"--name: {name!r} is not 1 to 40 of a-z, 0-9 and _")
    settings = load_quiet(ProjectorSettings)
    options: dict[str, object] = {
        "workers": workers,
        "until": until,
        "files": tuple(from_file or ()) or None,
        "allow_gap": allow_gap,
        "activate": activate,
        "verify": verify,
        "expect_changes": tuple(expect_changes or ()) or None,
    }
    given = {option: value for option, value in options.items() if value is not None}
    _rebuild(settings, name, given, resume=resume)
    typer.echo(f"generation {name} is made: see `runfold generations list`")


def _rebuild(
    settings: "ProjectorSettings", name: str, given: dict[str, object], *, resume: bool
) -> None:
    from projector.generations import processes

    processes.get_ready()
    from projector.generations import rebuild
    from projector.generations.plan import Options

    try:
        with progress_shown() as watcher:
            work = (
                rebuild.resume(settings, name, watcher, given)
                if resume
                else rebuild.rebuild(settings, Options.asked_for(name, given), watcher)
            )
            differences = asyncio.run(work)
    except rebuild.UnexpectedChanges as changes:
        _print_diff(changes.diff, NAMED)
        raise
    except KeyboardInterrupt:
        typer.echo(
            f"runfold: resume it with `runfold rebuild --name {name} --resume`, or remove it with"
            f" `runfold generations drop {name}`; the active generation is untouched",
            err=True,
        )
        raise
    if differences is not None:
        _print_diff(differences, NAMED)


@app.command()
def repair(
    run: Annotated[UUID | None, Option(help="Id of a run.")] = None,
    incident: Annotated[
        str | None, Option(help="Id of an incident: the runs that mention it.")
    ] = None,
) -> None:
    """Compute runs again from stored facts and say what changed: nothing, normally."""
    from projector.generations.repair import repair_incident, repair_run

    if (run is None) == (incident is None):
        raise UsageError("give either --run or --incident")
    work = partial(repair_run, run_id=str(run))
    if incident is not None:
        work = partial(repair_incident, incident_id=incident)
    repaired = _on_database(work, as_writer=True)
    for change in repaired.changes:
        typer.echo(cell(change))
    typer.echo(f"{repaired.runs} runs computed again, {len(repaired.changes)} changes")


@generations.command("list")
def list_generations() -> None:
    """List all generations and the state of each."""
    from projector.generations import schema

    print_rows("generation", map(_generation, _on_database(schema.generations)))


def _generation(it: "Generation") -> dict[str, object]:
    return {
        "name": it.name,
        "state": it.state,
        "as of": it.as_of,
        "created at": it.created_at,
        "activated at": it.activated_at,
        "size": f"{it.bytes / 1_048_576:.1f} MiB",
        "rebuild": f"{it.phase}: {it.error}" if it.error else it.phase,
    }


@generations.command()
def activate(name: Name) -> None:
    """Have readers and workers go over to a generation, once it has caught up: the way back too."""
    from projector.generations import rebuild
    from projector.settings import ProjectorSettings

    is_new = asyncio.run(rebuild.activate(load_quiet(ProjectorSettings), name))
    typer.echo(f"generation {name} is active{'' if is_new else ' already'}")


@generations.command()
def drop(name: Name) -> None:
    """Drop a generation, also one whose rebuild was killed; never the active one."""
    from projector.generations import schema

    _on_database(lambda connection: schema.drop(connection, name))
    typer.echo(f"generation {name} is dropped")


@generations.command()
def diff(
    one: Annotated[str, Argument(help="Name of a generation.")],
    other: Annotated[str, Argument(help="Name of another one.")],
) -> None:
    """Name the runs in which two generations differ, and the fields; status 1 where they do."""
    from contracts.settings import DatabaseSettings, load
    from projector.generations.diff import compare

    found, apart = asyncio.run(compare(load(DatabaseSettings).database_url, one, other))
    _print_diff(found)
    if apart:
        typer.echo(f"they stand {apart} events apart: some of it may come of that", err=True)
    if found.total:
        raise OperationError(f"generations {one!r} and {other!r} differ in {found.total} rows")


def _print_diff(found: "Diff", most: int | None = None) -> None:
    """Print how many rows differ, by table, and the named ones, at most `most` of them."""
    if not found.total:
        typer.echo("no row differs")
    for table, total in found.totals.items():
        typer.echo(f"{table}: {total} rows differ")
    shown = found.named[:most]
    for each in shown:
        typer.echo(cell(each))
    if found.total > len(shown):
        typer.echo(f"and {found.total - len(shown)} more")


@dead_letters.command("list")
def list_letters(
    reason: Annotated[
        str | None,
        Option(envvar="RUNFOLD_DEAD_LETTERS_REASON", help="Of this reason only."),
    ] = None,
    topic: Annotated[
        str | None,
        Option(envvar="RUNFOLD_DEAD_LETTERS_TOPIC", help="Of this topic only, its full name."),
    ] = None,
    state: Annotated[
        Literal["parked", "retried", "discarded"] | None,
        Option(envvar="RUNFOLD_DEAD_LETTERS_STATE", help="In this state only."),
    ] = None,
    limit: Annotated[
        int,
        Option(envvar="RUNFOLD_DEAD_LETTERS_LIMIT", min=1, max=100_000, help="At most so many."),
    ] = 50,
) -> None:
    """List dead letters, newest first."""
    from contracts.decoding import Reason
    from projector.operations import dead_letters

    if reason is not None and reason not in set(Reason):
        raise UsageError(f"--reason: {reason!r} is not one of {', '.join(Reason)}")
    found = _on_database(
        lambda connection: dead_letters.list_letters(
            connection, reason=reason, topic=topic, state=state, limit=limit
        ),
        as_writer=True,
    )
    print_rows("dead letter", map(dict, found))


@dead_letters.command()
def show(
    number: Annotated[int, Argument(min=1, max=LAST_NUMBER, help="Number of the dead letter.")],
) -> None:
    """Show one dead letter whole, its bytes as text where they are."""
    from projector.operations import dead_letters

    letter = _on_database(lambda connection: dead_letters.show(connection, number), as_writer=True)
    for name, value in letter.items():
        typer.echo(f"{name}: {cell(value)}")


@dead_letters.command()
def retry(numbers: Numbers, by: By) -> None:
    """Decode parked records again with today's code and apply what they say."""
    from contracts.settings import TopicPrefixSettings, load
    from projector.operations import dead_letters

    prefix = load(TopicPrefixSettings).topic_prefix
    _each(numbers, "retried", lambda it, number: dead_letters.retry(it, number, prefix, by))


@dead_letters.command()
def discard(numbers: Numbers, by: By) -> None:
    """Set parked records aside; they are kept, marked by whom."""
    from projector.operations import dead_letters

    _each(numbers, "discarded", lambda it, number: dead_letters.discard(it, number, by))


def _each(
    numbers: list[int], done: str, work: "Callable[[asyncpg.Connection, int], Awaitable[None]]"
) -> None:
    """Do the work for every number, also after one that failed; raise if any did."""

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

    faults = _on_database(on_all, as_writer=True)
    if faults:
        raise OperationError("; ".join(faults))
