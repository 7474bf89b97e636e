"""The demo: everything on this machine, and a history that flows through it as it happens."""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracts.errors import OperationError
from contracts.logging import configure
from contracts.settings import AuthSettings, load
from projector.demo.broker import EmbeddedBroker
from projector.demo.history import SECOND, Generated, history
from projector.demo.ports import LOOPBACK, free_port, is_free
from projector.demo.postgres import EmbeddedPostgres
from projector.demo.server_process import ServerProcess
from projector.demo.show import Show
from projector.jsonl import Record
from projector.kafka.publishing import publish
from projector.kafka.topics import create_topics
from projector.migrate import migrate
from projector.settings import ProjectorSettings
from projector.tokens import make_token

PAST: Final = timedelta(minutes=15)
"""How much of the history has already happened when the demo begins."""

RUN_GAP_SECONDS: Final = 3.0
READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
TOKEN_SECONDS: Final = 24 * 3600
_WATCH_SECONDS: Final = 0.5
_HEALTH_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Servers:
    """What runs beside this process, by what it is called."""

    processes: tuple[tuple[str, Callable[[], bool]], ...]

    def check(self) -> None:
        """Raise `OperationError` when one of them has ended."""
        for name, is_running in self.processes:
            if not is_running():
                raise OperationError(f"{name} has ended")


def run_stack() -> None:
    """Run an embedded PostgreSQL and broker, and say where, until SIGINT or SIGTERM."""
    with _until_stopped(), EmbeddedPostgres() as postgres, EmbeddedBroker() as broker:
        sys.stdout.write(f"RUNFOLD_DATABASE_URL={postgres.url}\n")
        sys.stdout.write(f"RUNFOLD_KAFKA_BOOTSTRAP={broker.bootstrap}\n")
        sys.stdout.flush()
        servers = _Servers(
            (("PostgreSQL", lambda: postgres.running), ("the broker", lambda: broker.running))
        )
        while True:
            servers.check()
            time.sleep(_WATCH_SECONDS)


def run(port: int, seed: int) -> None:
    """Run the demo until SIGINT or SIGTERM; then all it has started ends, and its data with it.

    The API listens on `port`, or on a free one when somebody has it. Raises `OperationError`
    when a part of it cannot be started or ends by itself.
    """
    show = Show()
    with _until_stopped():
        show.step("starting PostgreSQL and the broker")
        with EmbeddedPostgres() as postgres, EmbeddedBroker() as broker:
            _settle(postgres.url, broker.bootstrap)
            settings = load(ProjectorSettings)
            configure(settings.log_format, clients=False)
            show.step("creating schema and topics")
            migrate(settings.database_url)
            asyncio.run(create_topics(settings, settings.partitions))
            show.step("starting a projector and the API")
            port = port if is_free(port) else free_port()
            url = f"http://{LOOPBACK}:{port}"
            with (
                _running("the projector", "projector") as projector,
                _running(
                    "the API", "api", "--host", LOOPBACK, "--port", str(port), prepare=_new_key
                ) as api,
            ):
                api.wait_until(lambda: _answers(f"{url}/healthz"), READY_SECONDS)
                show.ready(url, _token(), settings.kafka_bootstrap)
                servers = _Servers(
                    (
                        ("PostgreSQL", lambda: postgres.running),
                        ("the broker", lambda: broker.running),
                        ("the projector", lambda: projector.running),
                        ("the API", lambda: api.running),
                    )
                )
                asyncio.run(_flow(settings, seed, show, servers))


@contextmanager
def _until_stopped() -> Iterator[None]:
    """Run the block until Ctrl-C or SIGTERM, which is how it is meant to end."""
    # Said outright, since a shell starts what runs in its background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    except KeyboardInterrupt:
        return


def _settle(database_url: str, kafka_bootstrap: str) -> None:
    """Make this process's environment, which the others inherit, that of the demo alone."""
    for name in [name for name in os.environ if name.startswith("RUNFOLD_")]:
        del os.environ[name]
    os.environ |= {
        "RUNFOLD_DATABASE_URL": database_url,
        "RUNFOLD_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "RUNFOLD_AUTH_HS256_SECRET": secrets.token_urlsafe(48),
        "RUNFOLD_LOG_FORMAT": "console",
    }


def _new_key(directory: Path) -> None:
    """Put a key of approval tokens into a directory, and its path into the environment."""
    key = Ed25519PrivateKey.generate()
    path = directory / "approval-key.pem"
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    os.environ["RUNFOLD_APPROVAL_KEY"] = str(path)


@contextmanager
def _running(
    name: str, *command: str, prepare: Callable[[Path], None] = lambda _: None
) -> Iterator[ServerProcess]:
    """One of our own commands as a process that ends with the block, or with this process.

    `prepare` is given the process's directory, which ends with it.
    """
    process = ServerProcess(name)
    try:
        prepare(process.directory)
        process.spawn([sys.executable, "-m", "projector.cli", *command])
        yield process
    finally:
        process.end(signal.SIGTERM, STOP_SECONDS)
        process.close()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=_HEALTH_SECONDS):  # noqa: S310 - always our own address
            return True
    except (URLError, OSError):
        return False


def _token() -> str:
    return make_token(load(AuthSettings), "demo", ["*"], ["operator"], TOKEN_SECONDS)


async def _flow(settings: ProjectorSettings, seed: int, show: Show, servers: _Servers) -> None:
    """Let the history happen, and show what the views make of it, until something ends."""
    start = datetime.now(UTC) - PAST
    events = history(seed, None, start, RUN_GAP_SECONDS)
    parts = {
        asyncio.create_task(publish(settings, _as_it_happens(events), "event")),
        asyncio.create_task(show.live(settings.database_url)),
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


async def _watch(servers: _Servers) -> None:
    while True:
        servers.check()
        await asyncio.sleep(_WATCH_SECONDS)


async def _as_it_happens(events: Iterable[Generated]) -> AsyncIterator[Record]:
    for number, event in enumerate(events, start=1):
        ahead = event.at / SECOND - time.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield Record(number, event.topic, event.key.encode(), event.value)
