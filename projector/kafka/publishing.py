"""Records to the topics, in bulk, each one's delivery confirmed."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, UnknownError

from contracts.envelope import CONTENT_TYPE
from contracts.errors import OperationError
from contracts.settings import KafkaSettings, kafka_connection
from contracts.topics import MAX_MESSAGE_BYTES, topic_name
from projector.jsonl import Record
from projector.kafka.topics import BrokerAway, partition_counts

HEADERS: Final = [("content-type", CONTENT_TYPE.encode())]

IN_FLIGHT: Final = 10_000
"""Most records that may wait for the broker's confirmation."""

_OPTIONS: Final[dict[str, Any]] = {
    "acks": "all",
    "linger_ms": 20,
    "max_batch_size": 256 * 1024,
    "max_request_size": MAX_MESSAGE_BYTES,
    "request_timeout_ms": 30_000,
}


async def publish(
    settings: KafkaSettings, records: AsyncIterable[Record], origin: str
) -> Counter[str]:
    """Send the records to their topics by key; return how many went to each topic, by suffix.

    Returns when the broker has confirmed every record. Raises `OperationError` when the broker
    is away, a topic is missing, or a record is not taken; it names the record by `origin` and
    number, as in "history.jsonl, line 7".
    """
    sent: Counter[str] = Counter()
    async with producer(settings) as out:
        delivery = _Delivery(out, origin)
        known = await partition_counts(settings)
        async for record in records:
            name = topic_name(settings.topic_prefix, record.topic)
            if name not in known:
                raise OperationError(f"there is no topic {name}: run `runfold topics`")
            await delivery.send(name, record)
            sent[record.topic] += 1
        await delivery.confirm(0)
    return sent


async def paced(records: Iterable[Record], rate: float | None) -> AsyncIterator[Record]:
    """Yield the records, at most `rate` a second; as fast as they are taken when it is None."""
    started = time.monotonic()
    for number, record in enumerate(records):
        if rate is not None:
            await asyncio.sleep(started + number / rate - time.monotonic())
        yield record


@asynccontextmanager
async def producer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer; idempotent where the broker can give it an id.

    Raises `BrokerAway`.
    """
    out = await _started(settings)
    try:
        yield out
    finally:
        await out.stop()


async def _started(settings: KafkaSettings) -> AIOKafkaProducer:
    try:
        try:
            return await _start(settings, idempotent=True)
        except (UnknownError, IncompatibleBrokerVersion):
            # The embedded broker gives out no producer ids.
            return await _start(settings, idempotent=False)
    except (KafkaError, OSError) as error:
        raise BrokerAway(settings.kafka_bootstrap) from error


async def _start(settings: KafkaSettings, *, idempotent: bool) -> AIOKafkaProducer:
    out = AIOKafkaProducer(**kafka_connection(settings), **_OPTIONS, enable_idempotence=idempotent)
    try:
        await out.start()
    except BaseException:
        await out.stop()
        raise
    return out


class _Delivery:
    """What has been sent and not been confirmed yet, oldest first."""

    def __init__(self, out: AIOKafkaProducer, origin: str) -> None:
        self._out = out
        self._origin = origin
        self._waiting: deque[tuple[Record, asyncio.Future[Any]]] = deque()

    async def send(self, topic: str, record: Record) -> None:
        """Hand a record to the producer; wait for the oldest when too many are unconfirmed."""
        try:
            delivery = await self._out.send(topic, record.value, key=record.key, headers=HEADERS)
        except KafkaError as error:
            raise self._undelivered(record, error) from error
        self._waiting.append((record, delivery))
        await self.confirm(IN_FLIGHT)

    async def confirm(self, at_most: int) -> None:
        """Return once no more than `at_most` records wait for the broker's confirmation."""
        while len(self._waiting) > at_most:
            record, delivery = self._waiting.popleft()
            try:
                await delivery
            except KafkaError as error:
                raise self._undelivered(record, error) from error

    def _undelivered(self, record: Record, error: KafkaError) -> OperationError:
        return OperationError(
            f"{self._origin} {record.number}: not delivered to {record.topic}: {error}"
        )
