"""The composition root: puts a worker together and runs it until it is asked to stop."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from contracts.errors import SettingError
from contracts.health import Outage, Stopping, keep_trying
from contracts.read_model import WRITER_ROLE
from projector.database import CONNECT_SECONDS
from projector.dependencies import Dependencies
from projector.errors import NotMigrated
from projector.generations import schema
from projector.generations.activation import LONGEST_SECONDS, Target
from projector.kafka.consumer import Consumer
from projector.operations import change_log, dead_letters, metrics
from projector.operations.metrics import Metrics
from projector.operations.reporting import Reporter
from projector.settings import ProjectorSettings
from projector.writing import transaction
from projector.writing.applying import Applier
from projector.writing.counters import SLOTS
from projector.writing.faults import SILENCE_S, Fault, of

CONNECTIONS = 5
"""One writes, one reads positions on assignment, one reports, one does what operators ask, one
prunes the log of changes."""

if TYPE_CHECKING:
    from projector.operations.tracing import Tracing

NO_TRACING: Final = "RUNFOLD_TRACING: OpenTelemetry is not installed: pip install 'runfold[otel]'"

CLOSE_SECONDS: Final = 2.0

LONGEST_SILENCE: Final = f"{SILENCE_S:g}s"
"""How long a transaction may wait for its worker's next statement. A worker that was put to sleep
in the middle of one holds its partitions' positions, and so whoever has got them meanwhile; one
that works takes nowhere near as long, but for many thousands of runs that one batch reaches, which
it then does in smaller parts."""

LONGEST_TRANSACTION: Final = f"{LONGEST_SECONDS + 30}s"
"""How long a transaction may take in all: for a worker put to sleep in the middle of a statement's
preparation, whose silence the database does not notice. What takes longer is done in smaller parts,
too. It is more than an activation may have workers wait. (In the middle of a COPY neither of the
two ends it: that comes before anything is held that others wait for.)"""


async def run_worker(settings: ProjectorSettings, stopping: asyncio.Event | None = None) -> None:
    """Run one worker until SIGTERM or SIGINT (or until `stopping` is set).

    Waits for a database or a broker that is away. Finishes the poll in hand and leaves the group
    before it returns. Raises `GenerationOutdated`, `PositionBeyondLog`, or whatever defect ended
    the worker.
    """
    stopping = stopping or _asked_to_stop()
    database, broker = Outage("database"), Outage("broker")
    measured = Metrics(database, broker)
    # the client repeats the same warnings all through an outage; what they mean is logged once
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with (
        suppress(Stopping),
        metrics.given(measured, settings.metrics_host, settings.metrics_port),
    ):
        generation = await _generation(settings.database_url, database, stopping)
        target = Target(generation)
        async with _closed_in_time(writer_pool(settings.database_url, CONNECTIONS)) as pool:
            dependencies = Dependencies(pool, stopping, database, broker)
            async with _traced(settings) as tracing:
                await _work(settings, dependencies, target, measured, tracing)


@asynccontextmanager
async def _traced(settings: ProjectorSettings) -> "AsyncIterator[Tracing | None]":
    """Trace while the block runs, if that is wished for; else nothing of it is even loaded."""
    if not settings.tracing:
        yield None
        return
    try:
        from projector.operations import tracing  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingError(NO_TRACING) from error
    made = tracing.from_environment(settings.group_id)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.close)


async def _work(
    settings: ProjectorSettings,
    dependencies: Dependencies,
    target: Target,
    measured: Metrics,
    tracing: "Tracing | None",
) -> None:
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    reporter = Reporter(dependencies, worker_id)
    slot = zlib.crc32(worker_id.encode()) % SLOTS
    observers = reporter.committed, measured.committed
    write = transaction.write if tracing is None else tracing.write(transaction.write)
    applier = Applier(dependencies, target, settings.topic_prefix, slot, observers, write=write)
    consumer = await _joined(
        dependencies,
        lambda: Consumer(settings, applier, dependencies, metrics=measured, tracing=tracing),
    )
    if consumer is None:
        return
    beside = [
        asyncio.create_task(_or_end(work, dependencies.stopping))
        for work in (
            consumer.watch(),
            dead_letters.carry_out(dependencies, settings.topic_prefix),
            change_log.keep_pruned(dependencies, settings.stream_keep_seconds),
        )
    ]
    structlog.get_logger("runfold").info("worker started", generation=target.generation)
    await reporter.run(consumer)
    await consumer.stop()
    if consumer.failure is not None:
        raise consumer.failure
    await _ended(beside)


async def _ended(beside: Sequence["asyncio.Task[None]"]) -> None:
    """Wait for what goes on beside the polls, not for ever; raise what ended one of them."""
    done, hanging = await asyncio.wait(beside, timeout=CLOSE_SECONDS)
    for each in hanging:
        each.cancel()
    for each in done:
        each.result()


async def _or_end(work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Do what goes on beside the polls; the worker ends with it, whatever ends it."""
    try:
        await work
    finally:
        stopping.set()


def _asked_to_stop() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _generation(database_url: str, database: Outage, stopping: asyncio.Event) -> str:
    """Return the active generation, waiting for the database and for its first migration."""

    async def resolved() -> str:
        connection = await asyncpg.connect(database_url, timeout=CONNECT_SECONDS)
        try:
            return await schema.resolve(connection)
        finally:
            await connection.close()

    def is_away(error: Exception) -> bool:
        return isinstance(error, NotMigrated) or of(error) is Fault.INFRASTRUCTURE

    return await keep_trying(resolved, database, stopping, is_away)


def writer_pool(database_url: str, connections: int) -> asyncpg.Pool:
    """Return a pool, still to be opened, of connections that may write views."""
    return asyncpg.create_pool(
        database_url,
        min_size=0,
        max_size=connections,
        max_inactive_connection_lifetime=0,
        timeout=CONNECT_SECONDS,
        init=transaction.prepare,
        reset=transaction.keep,
        server_settings={
            "application_name": "runfold projector",
            "role": WRITER_ROLE,
            "idle_in_transaction_session_timeout": LONGEST_SILENCE,
            "transaction_timeout": LONGEST_TRANSACTION,
            **transaction.SESSION,
        },
    )


@asynccontextmanager
async def _closed_in_time(opening: asyncpg.Pool) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool; close it at the end, by force where a statement hangs in the database."""
    pool = await opening
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _joined(
    dependencies: Dependencies, new_consumer: Callable[[], Consumer]
) -> Consumer | None:
    """Return a consumer that has joined the group, waiting for the broker."""
    while not dependencies.stopping.is_set():
        consumer = new_consumer()
        try:
            if await _done(consumer.start(), dependencies.stopping):
                return consumer
        except KafkaError as error:
            dependencies.broker.failed(error)
        await consumer.stop()
        await dependencies.broker.wait(dependencies.stopping)
    return None


async def _done(work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> bool:
    """Do the work, or give it up when the worker is asked to stop; return whether it was done.

    Raises what the work raises.
    """
    working = asyncio.create_task(work)
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if working.done():
        await working
        return True
    working.cancel()
    await asyncio.wait({working})
    return False
