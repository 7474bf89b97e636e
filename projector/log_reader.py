"""Kafka consumers that read what they are told to: without a group, committing nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer

from contracts.settings import KafkaSettings, kafka_connection


@asynccontextmanager
async def log_reader(
    settings: KafkaSettings, client_id: str, **options: Any
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of committed records for as long as the block runs, assigned to nothing yet.

    Raises `KafkaError` when the broker cannot be reached.
    """
    kafka = AIOKafkaConsumer(
        **kafka_connection(settings),
        client_id=client_id,
        enable_auto_commit=False,
        isolation_level="read_committed",
        # an offset that is gone is no reason to go on somewhere else without a word
        auto_offset_reset="none",
        **options,
    )
    try:
        await kafka.start()
        # aiokafka fails to stop a consumer whose own tasks have not had their first turn
        await asyncio.sleep(0)
        yield kafka
    finally:
        await kafka.stop()
