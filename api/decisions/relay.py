"""The relay: from the outbox to the topic, at least once, each run's commands in order.

A command is marked as published in the transaction that claimed it, after the broker has confirmed
it. Whatever ends the process in between, the command is published again, the same event with the
same id and key. Several processes may relay at once: each passes over what another has claimed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from api.database import COMMAND_SESSION, CONNECT_TIMEOUT_S
from api.decisions.outbox import CHANNEL, CHECK, CLAIM, MARK, MOST
from api.outages import Outages
from contracts.envelope import CONTENT_TYPE
from contracts.health import LOST, Outage, pause
from contracts.read_model import ALL_PROJECTS_SETTING
from contracts.settings import KafkaConnection

logger = structlog.stdlib.get_logger("api.relay")

HEADERS: Final = [("content-type", CONTENT_TYPE.encode())]

AWAY: Final = (asyncpg.PostgresError, *LOST)
"""What the way to the database raises, whatever is wrong there: the relay waits until it is not."""

POLL_S: Final = 5.0
"""How often the outbox is looked into unasked, should a notification have been lost."""
STOP_S: Final = 5.0
"""How long the relay may take at the end to finish what it has in hand."""
REQUEST_TIMEOUT_MS: Final = 10_000

SESSION: Final = COMMAND_SESSION | {
    "application_name": "runfold-api-relay",
    # It publishes for every project.
    ALL_PROJECTS_SETTING: "on",
    # Longer than the broker may take to confirm; a process put to sleep holds its claims no longer.
    "idle_in_transaction_session_timeout": "30s",
}

# Not idempotent: aiokafka would then never give up a record, and its claim would be held for as
# long as the broker is away. What is sent twice has the same id.
OPTIONS: Final[dict[str, Any]] = {"acks": "all", "request_timeout_ms": REQUEST_TIMEOUT_MS}


@asynccontextmanager
async def relaying(
    database_url: str, topic: str, broker: KafkaConnection | None, outages: Outages
) -> AsyncIterator[None]:
    """Relay to a topic while the block runs, where there is a broker."""
    if broker is None:
        logger.info("no broker is set: decisions are kept until an API with one publishes them")
        yield
        return
    relay = Relay(database_url, topic, broker, outages)
    running = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        relay.stop()
        await asyncio.wait({running}, timeout=STOP_S)
        running.cancel()
        await asyncio.wait({running})


async def _start(producer: AIOKafkaProducer) -> None:
    """Start it, with every failure told as the broker's."""
    try:
        await producer.start()
    except OSError as error:
        raise KafkaConnectionError(str(error)) from error


class Relay:
    """One process's relay; waits as long as it takes for a database or a broker that is away."""

    def __init__(
        self, database_url: str, topic: str, broker: KafkaConnection, outages: Outages
    ) -> None:
        self._database_url, self._topic, self._broker_connection = database_url, topic, broker
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._database, self._broker = outages.outbox, outages.broker
        self._failed: set[UUID] = set()
        """Runs whose command was not taken; passed over until all others have had their turn."""

    def stop(self) -> None:
        """End `run` once what is in hand is published."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Publish whatever comes into the outbox, until `stop`."""
        while not self._stopping.is_set():
            try:
                async with self._connected() as connection, self._producer() as producer:
                    await self._serve(connection, producer)
            except KafkaError as error:
                await self._wait(self._broker, error)
            except AWAY as error:
                await self._wait(self._database, error)
            except Exception as error:
                logger.exception("the relay has failed; it begins again")
                await self._wait(self._database, error)

    async def _wait(self, away: Outage, error: Exception) -> None:
        away.failed(error)
        await away.wait(self._stopping)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(
            self._database_url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=CONNECT_TIMEOUT_S,
            server_settings=SESSION,
        )
        try:
            await connection.add_listener(CHANNEL, lambda *_: self._woken.set())
            connection.add_termination_listener(lambda *_: self._woken.set())
            await connection.execute(CHECK)
            self._database.over()
            yield connection
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(**self._broker_connection, **OPTIONS)
        try:
            await _start(producer)
            yield producer
        finally:
            await producer.stop()

    async def _serve(self, connection: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
        """Empty the outbox, and again whenever there may be something in it."""
        while not self._stopping.is_set():
            self._woken.clear()
            while await self._publish(connection, producer):
                pass
            await pause(self._woken, POLL_S)

    async def _publish(self, connection: asyncpg.Connection, producer: AIOKafkaProducer) -> bool:
        """Publish what nobody else has claimed; return whether there may be more.

        Raises what kept a command from being published, once the others are marked.
        """
        async with connection.transaction():
            claimed = await connection.fetch(CLAIM, [*self._failed])
            failures = await asyncio.gather(*(self._send(producer, row) for row in claimed))
            published = [
                row["command_id"]
                for row, failure in zip(claimed, failures, strict=True)
                if failure is None
            ]
            if published:
                await connection.execute(MARK, published)
        for row, failure in zip(claimed, failures, strict=True):
            if failure is not None:
                self._failed.add(row["run_id"])
        for failure in filter(None, failures):
            raise failure
        if not self._failed:
            self._broker.over()
            return bool(claimed)
        if len(claimed) < MOST:
            self._failed.clear()
        return True

    async def _send(self, producer: AIOKafkaProducer, row: asyncpg.Record) -> KafkaError | None:
        """Send one command and wait until the broker has confirmed it; return why it has not."""
        try:
            await producer.send_and_wait(
                self._topic, row["event"], key=str(row["run_id"]).encode(), headers=HEADERS
            )
        except KafkaError as error:
            return error
        return None
