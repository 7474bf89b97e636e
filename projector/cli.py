"""The command `runfold`: options in, one function called, its answer printed.

What a command does is imported when it is called, so that `runfold --help` is quick. Every option
can be set by an environment variable, `RUNFOLD_`, command and option, where no other is named.
"""

import asyncio
import math
import signal
import socket
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from typer import Argument, Option
from typer._click.core import ParameterSource
from typer._click.exceptions import NoArgsIsHelpError
from typer._click.exceptions import UsageError as WrongUsage

from contracts.errors import OperationError, RunfoldError, UsageError
from projector import cli_operations

if TYPE_CHECKING:
    from projector.demo.history import Generated
    from projector.jsonl import Record

USAGE: Final = 2
MOST_RUNS: Final = 100_000_000
"""Some sixty years of them."""
LONGEST_TTL: Final = 10 * 365 * 86_400

app = typer.Typer(
    name="runfold",
    help="Folds the event stream of an agent platform into the views its operators read.",
    context_settings={"auto_envvar_prefix": "RUNFOLD"},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Role(StrEnum):
    """What the bearer of a token may do."""

    VIEWER = "viewer"
    APPROVER = "approver"
    OPERATOR = "operator"


def main() -> None:
    """Run the command; a user's mistake is one line on standard error.

    Exit status 0: done. 1: could not be done. 2: wrong usage or setting. 130: interrupted.
    """
    try:
        sys.exit(app(standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except WrongUsage as error:
        # Typer itself would print a box of several lines
        command = error.ctx.command_path if error.ctx is not None else "runfold"
        _fail(f"{_variable(error)}{error.format_message()} See `{command} --help`", USAGE)
    except RunfoldError as error:
        _fail(str(error), error.exit_status)


def _variable(error: WrongUsage) -> str:
    """Return the environment variable that a wrong value comes from, and a colon."""
    parameter = getattr(error, "param", None)
    if error.ctx is None or parameter is None or parameter.name is None:
        return ""
    if error.ctx.get_parameter_source(parameter.name) is not ParameterSource.ENVIRONMENT:
        return ""
    name = parameter.envvar or f"{error.ctx.auto_envvar_prefix}_{parameter.name.upper()}"
    return f"{name}: "


def _fail(message: str, status: int) -> None:
    sys.stderr.write(f"runfold: {' '.join(message.split())}\n")
    sys.exit(status)


@app.command()
def demo(
    port: Annotated[
        int,
        Option(
            envvar="RUNFOLD_API_PORT",
            min=1,
            max=65_535,
            help="Port of the API; a free one when this one is taken.",
        ),
    ] = 8080,
    seed: Annotated[
        int, Option(envvar="RUNFOLD_GENERATE_SEED", help="The same seed, the same history.")
    ] = 1,
) -> None:
    """Show everything on this machine, nothing else installed; Ctrl-C ends all of it."""
    from projector.demo.demo import run

    run(port, seed)


@app.command()
def stack() -> None:
    """Run only an embedded PostgreSQL and broker, until Ctrl-C."""
    from projector.demo.demo import run_stack

    run_stack()


@app.command()
def projector() -> None:
    """Run a worker; as many as you wish, in one consumer group."""
    import uvloop

    from contracts.logging import configure
    from contracts.settings import load
    from projector.garbage import collect_seldom
    from projector.settings import ProjectorSettings
    from projector.worker import run_worker

    settings = load(ProjectorSettings)
    configure(settings.log_format)
    collect_seldom()
    uvloop.run(run_worker(settings))


@app.command()
def api(
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65_535, help="Port to listen on.")] = 8080,
) -> None:
    """Run the API: reads, decisions, and the relay that publishes them."""
    if not host:
        # a socket would listen on every interface
        raise UsageError("--host: it is empty; 0.0.0.0 is every address of this machine")
    import structlog
    import uvicorn

    from contracts.logging import configure
    from contracts.settings import LogSettings, load

    # the relay logs once that the broker is away; the client would with every attempt
    configure(load(LogSettings).log_format, clients=False)
    # by name: projector and api never import each other
    config = uvicorn.Config(
        "api.app:from_environment",
        factory=True,
        loop="uvloop",
        http="api.http:BoundedHttp",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    # when uvicorn has drained, it raises the signal that ended it once more
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _listening(host, port) as listening:
        structlog.get_logger("runfold").info("listening", address=listening.getsockname()[:2])
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Python adds the address to the system's text, and it is said already
        reason = str(error.strerror).partition(" (")[0]
        raise OperationError(
            f"cannot listen on {host}, port {port}: {reason}: see --host and --port"
        ) from error


@app.command()
def migrate() -> None:
    """Bring the database to the current schema and create the roles; safe to repeat."""
    from contracts.settings import DatabaseSettings, load
    from projector import migrate as migration
    from projector.database import faults_named, place

    url = load(DatabaseSettings).database_url
    with faults_named(url):
        migration.migrate(url)
        outdated = migration.outdated(url)
    typer.echo(f"the database at {place(url)} has the current schema")
    if outdated is not None:
        typer.echo(f"runfold: {outdated}", err=True)


@app.command()
def topics() -> None:
    """Create missing topics with their configuration, and name those that differ."""
    from projector.kafka.topics import TopicState, create_topics
    from projector.settings import TopicSettings

    settings = cli_operations.load_quiet(TopicSettings)
    for report in asyncio.run(create_topics(settings, settings.partitions)):
        typer.echo(report, err=report.state is TopicState.DIFFERS)


@app.command()
def token(
    sub: Annotated[str, Option(help="Who bears the token.")] = "developer",
    project: Annotated[
        list[str] | None,
        Option(
            envvar="RUNFOLD_TOKEN_PROJECTS",
            help="Project the bearer may see; repeatable, * is every project.",
            show_default="*",
        ),
    ] = None,
    role: Annotated[
        list[Role] | None,
        Option(
            envvar="RUNFOLD_TOKEN_ROLES",
            help="What the bearer may do; repeatable.",
            show_default="viewer",
        ),
    ] = None,
    ttl: Annotated[int, Option(min=1, max=LONGEST_TTL, help="Seconds until it expires.")] = 3600,
) -> None:
    """Print a token for the configured HS256 secret (development)."""
    from contracts.settings import AuthSettings, load
    from projector.tokens import make_token

    if not sub:
        raise UsageError("--sub: it is empty; a token must name its bearer")
    typer.echo(make_token(load(AuthSettings), sub, project or ["*"], role or [Role.VIEWER], ttl))


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of the topics."""
    from contracts.asyncapi import document
    from contracts.settings import TopicPrefixSettings, load

    typer.echo(document(load(TopicPrefixSettings).topic_prefix))


@app.command()
def generate(
    runs: Annotated[int, Option(min=0, max=MOST_RUNS, help="How many runs.")] = 100,
    seed: Annotated[int, Option(help="The same seed, the same bytes.")] = 1,
    out: Annotated[
        str,
        Option(help="JSONL file, compressed if it ends in .zst; - is standard output."),
    ] = "-",
    rate: Annotated[
        float | None,
        Option(
            min=0.001,
            max=1_000_000,
            help="Send to the topics instead, so many events a second.",
            show_default="write a file",
        ),
    ] = None,
) -> None:
    """Make a synthetic history, to a file or to the topics."""
    from projector.demo.history import history
    from projector.jsonl import STANDARD_STREAM, writing

    events = history(seed, runs)
    if rate is None:
        with writing(out) as file:
            for event in events:
                file.write(event.line)
    elif math.isnan(rate):
        raise UsageError("--rate: nan is not a number")
    elif out == STANDARD_STREAM:
        _publish(_records(events), "generated record", rate)
    else:
        raise UsageError("give --out or --rate, not both: events go to a file or to the topics")


def _records(events: "Iterator[Generated]") -> "Iterator[Record]":
    from projector.jsonl import Record

    for number, event in enumerate(events, start=1):
        yield Record(number, event.topic, event.key.encode(), event.value)


@app.command()
def publish(
    file: Annotated[
        str, Argument(help="JSONL file, compressed if it ends in .zst; - is standard input.")
    ],
) -> None:
    """Send a history to the topics: lines of {"topic": suffix, "key": text, "value": event}."""
    from projector.jsonl import STANDARD_STREAM, read

    if file == STANDARD_STREAM:
        # asyncio's own handler, which takes the place of the default one, cannot end a blocked read
        signal.signal(signal.SIGINT, _interrupt)
    _publish(read(file), f"{file}, line")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _publish(records: "Iterator[Record]", origin: str, rate: float | None = None) -> None:
    from projector.kafka.publishing import paced, publish
    from projector.settings import TopicSettings

    settings = cli_operations.load_quiet(TopicSettings)
    sent = asyncio.run(publish(settings, paced(records, rate), origin))
    for topic, total in sorted(sent.items()):
        typer.echo(f"{topic}: {total}")
    typer.echo(f"{sent.total()} records published")


app.add_typer(cli_operations.app)
app.add_typer(cli_operations.generations, name="generations")
app.add_typer(cli_operations.dead_letters, name="dead-letters")

if __name__ == "__main__":
    main()
