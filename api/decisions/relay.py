"""The relay: from the outbox to the topic, at least once, each run's commands in order.

A command is marked as published in the transaction that claimed it, after the broker has confirmed
it. Whatever ends the process in between, the command is published again, the same event with the
same id and key. Several processes may relay at once: each skips what another has claimed.
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
from api.decisions.deciding import CHANNEL
from contracts.envelope import CONTENT_TYPE
from contracts.health import LOST, Outage, pause
from contracts.read_model import ALL_PROJECTS_SETTING
from contracts.settings import KafkaConnection

MOST: Final = 100
"""Most commands that are published at once."""
POLL_S: Final = 5.0
"""How often the outbox is read without a notification, should one have been lost."""
STOP_S: Final = 5.0
"""How long the relay may take at the end to finish what it has claimed."""

SESSION: Final = COMMAND_SESSION | {
    "application_name": "runfold-api-relay",
    # It publishes for every project.
    ALL_PROJECTS_SETTING: "on",
    # Longer than the broker may take to confirm; a suspended process holds its claims no longer.
    "idle_in_transaction_session_timeout": "30s",
}

# Not idempotent: aiokafka would then never give up a record, and its claim would be held for as
# long as the broker is away. What is sent twice has the same id.
OPTIONS: Final[dict[str, Any]] = {"acks": "all", "request_timeout_ms": 10_000}
HEADERS: Final = [("content-type", CONTENT_TYPE.encode())]

CHECK: Final = "SELECT FROM runfold.command LIMIT 1"
"""Fails where the relay could not work."""

# Only the first of a run: the next one when it is published. Skipped are the commands that another
# process has claimed, and the runs ($1) whose command the broker has not taken: a hundred of those
# would otherwise keep all others waiting.
CLAIM: Final = f"""
    -- outbox: claim the next commands
    SELECT c.command_id, c.run_id, c.event
    FROM runfold.command c
    WHERE c.published_at IS NULL AND c.run_id <> ALL ($1::uuid[]) AND NOT EXISTS (
        SELECT FROM runfold.command earlier
        WHERE earlier.run_id = c.run_id AND earlier.seq < c.seq AND earlier.published_at IS NULL
    )
    ORDER BY c.seq
    LIMIT {MOST}
    FOR UPDATE OF c SKIP LOCKED
"""

MARK: Final = """
    -- outbox: these commands are published
    UPDATE runfold.command SET published_at = clock_timestamp() WHERE command_id = ANY ($1::uuid[])
"""

logger = structlog.stdlib.get_logger("api.decisions.relay")


class Relay:
    """One process's relay; waits as long as it takes for a database or a broker that is away."""

    def __init__(
        self,
        database_url: str,
        topic: str,
        connection: KafkaConnection,
        outbox: Outage,
        broker: Outage,
    ) -> None:
        self._database_url, self._topic, self._kafka = database_url, topic, connection
        self._outbox, self._broker = outbox, broker
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._failed: set[UUID] = set()
        """Runs whose command was not taken; skipped until all others have had their turn."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Relay while the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._stopping.set()
            self._woken.set()
            await asyncio.wait({task}, timeout=STOP_S)
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with self._connected() as connection, self._producer() as producer:
                    await self._serve(connection, producer)
            except KafkaError as error:
                await self._retry(self._broker, error)
            except (asyncpg.PostgresError, *LOST) as error:
                await self._retry(self._outbox, error)
            except Exception as error:
                logger.exception("the relay has failed; it starts again")
                await self._retry(self._outbox, error)

    async def _retry(self, away: Outage, error: Exception) -> None:
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
            self._outbox.over()
            yield connection
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(**self._kafka, **OPTIONS)
        try:
            try:
                await producer.start()
            except OSError as error:
                raise KafkaConnectionError(str(error)) from error
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

        Raises the error that kept a command from being published, once the others are marked.
        """
        async with connection.transaction():
            claimed = await connection.fetch(CLAIM, [*self._failed])
            errors = await asyncio.gather(*(self._send(producer, row) for row in claimed))
            sent = zip(claimed, errors, strict=True)
            published = [row["command_id"] for row, error in sent if error is None]
            if published:
                await connection.execute(MARK, published)
        for row, error in zip(claimed, errors, strict=True):
            if error is not None:
                self._failed.add(row["run_id"])
        for error in filter(None, errors):
            raise error
        if not self._failed:
            self._broker.over()
            return bool(claimed)
        if len(claimed) < MOST:
            self._failed.clear()
        return True

    async def _send(self, producer: AIOKafkaProducer, row: asyncpg.Record) -> KafkaError | None:
        """Send one command and wait for the broker's confirmation; return the error."""
        try:
            await producer.send_and_wait(
                self._topic, row["event"], key=str(row["run_id"]).encode(), headers=HEADERS
            )
        except KafkaError as error:
            return error
        return None
