"""Commands that run until they are told to stop."""

import signal
import socket
import sys
from typing import Annotated

import typer

from contracts.errors import OperationError, UsageError

app = typer.Typer()


@app.command()
def demo(
    port: Annotated[
        int,
        typer.Option(
            envvar="RUNFOLD_API_PORT",
            min=1,
            max=65_535,
            help="Port of the API; a free one is taken when somebody has it.",
        ),
    ] = 8080,
    seed: Annotated[
        int, typer.Option(envvar="RUNFOLD_GENERATE_SEED", help="The same seed, the same history.")
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
def projector(
    generation: Annotated[
        str | None,
        typer.Option(
            envvar="RUNFOLD_GENERATION",
            help="Generation to keep up to date, in a consumer group of its own.",
            show_default="the active one, and each that follows it",
        ),
    ] = None,
) -> None:
    """Run a worker; as many as you wish, in one consumer group."""
    import uvloop

    from contracts.logging import configure
    from contracts.settings import load
    from projector.garbage import collect_seldom
    from projector.settings import ProjectorSettings
    from projector.worker import run_worker

    settings = load(ProjectorSettings)
    if generation is not None:
        settings = settings.model_copy(update={"generation": _checked(generation)})
    configure(settings.log_format)
    collect_seldom()
    uvloop.run(run_worker(settings))


def _checked(name: str) -> str:
    from projector.generations.schema import NAME

    if not NAME.fullmatch(name):
        raise UsageError(f"--generation: {name!r} is not 1 to 40 of a-z, 0-9 and _")
    return name


@app.command()
def api(
    host: Annotated[
        str, typer.Option(envvar="RUNFOLD_API_HOST", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="RUNFOLD_API_PORT", min=0, max=65_535, help="Port to listen on.")
    ] = 8080,
) -> None:
    """Run the API: reads, decisions, and the relay that publishes them."""
    if not host:
        # sockets would take it for every interface
        raise UsageError("--host: it is empty; 0.0.0.0 is every address of this machine")
    import structlog
    import uvicorn

    from contracts.logging import configure
    from contracts.settings import LogSettings, load

    # Of a broker that is away the relay tells once; the client would with every attempt.
    configure(load(LogSettings).log_format, clients=False)
    # By name: what writes the views and what reads them never import each other.
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
    # Uvicorn, when it has drained, raises the signal again that told it to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _listening(host, port) as listening:
        structlog.get_logger("runfold").info("listening", address=listening.getsockname()[:2])
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Python adds the address to the system's words, and we have said it already.
        reason = str(error.strerror).partition(" (")[0]
        raise OperationError(
            f"cannot listen on {host}, port {port}: {reason}: see --host and --port"
        ) from error
