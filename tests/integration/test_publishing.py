"""Records on their way to the topics: as they are, by key, confirmed, or named."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from contracts.envelope import CONTENT_TYPE
from contracts.errors import OperationError
from contracts.settings import KafkaSettings
from contracts.topics import MAX_MESSAGE_BYTES
from projector.jsonl import Record
from projector.kafka import publishing
from projector.kafka.publishing import paced, producer, publish
from projector.kafka.topics import create_topics
from tests.stack.servers import EmbeddedBroker

PARTITIONS = 3


@pytest.fixture
async def ours(broker: EmbeddedBroker, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(kafka_bootstrap=broker.bootstrap, topic_prefix=topic_prefix)
    await create_topics(settings, PARTITIONS)
    return settings


async def test_records_arrive_as_they_are(ours: KafkaSettings) -> None:
    value = '{"n": 0.10, "text": "金流"}'.encode()
    records = [Record(n, "project", b"key-%d" % (n % 4), value) for n in range(1, 201)]
    records += [Record(201, "project", b"key-1", None), Record(202, "run-state", None, b"{}")]
    sent = await publish(ours, paced(records, None), "line")
    assert sent == {"project": 201, "run-state": 1}

    places: dict[bytes, set[int]] = {}
    async with AIOKafkaConsumer(
        f"{ours.topic_prefix}project",
        bootstrap_servers=ours.kafka_bootstrap,
        auto_offset_reset="earliest",
    ) as consumer:
        for _ in range(201):
            found = await consumer.getone()
            places.setdefault(found.key, set()).add(found.partition)
            assert found.value in {value, None}
            assert dict(found.headers) == {"content-type": CONTENT_TYPE.encode()}
    assert places.keys() == {b"key-0", b"key-1", b"key-2", b"key-3"}
    assert all(len(partitions) == 1 for partitions in places.values())


async def test_a_record_that_is_too_large_is_named(ours: KafkaSettings) -> None:
    small, large = b"{}", b'{"x":"' + b"x" * MAX_MESSAGE_BYTES + b'"}'
    records = [Record(1, "project", b"p", small), Record(7, "project", b"p", large)]
    with pytest.raises(OperationError, match=r"history\.jsonl, line 7: "):
        await publish(ours, paced(records, None), "history.jsonl, line")


async def test_a_rate_is_not_exceeded(ours: KafkaSettings) -> None:
    records = [Record(n, "project", b"p", b"{}") for n in range(21)]
    began = time.monotonic()
    await publish(ours, paced(records, 100), "line")
    assert time.monotonic() - began >= 0.2


async def test_a_broker_that_dies_meanwhile_is_a_named_failure(
    topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(publishing._OPTIONS, "request_timeout_ms", 1_000)
    with EmbeddedBroker() as broker:
        settings = KafkaSettings(kafka_bootstrap=broker.bootstrap, topic_prefix=topic_prefix)
        await create_topics(settings, 1)

        async def records() -> AsyncIterator[Record]:
            yield Record(1, "project", b"p", b"{}")
            broker.kill()
            for number in range(2, 10):
                yield Record(number, "project", b"p", b"{}")

        with pytest.raises(OperationError, match=r"line [12]: "):
            await publish(settings, records(), "line")


async def test_a_producer_that_is_given_up_while_it_starts_is_stopped() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, of: complaints.append(of))
    asked = asyncio.Event()

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(says_nothing, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        settings = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}")
        starting = asyncio.create_task(producer(settings).__aenter__())
        await asked.wait()
        starting.cancel()
        await asyncio.wait({starting})
    assert starting.cancelled()
    del starting
    gc.collect()
    assert complaints == []
