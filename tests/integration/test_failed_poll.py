"""A poll that fails after the client has passed its records: none of them is lost."""

from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from tests.histories import history
from tests.live import applied, produce, running_worker, settings_of


async def test_records_of_a_poll_that_failed_are_read_again(
    database_url: str, bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client drains several partitions, fails on one, and what it has drained is gone."""
    settings = settings_of(database_url, bootstrap, topic_prefix)
    getmany = AIOKafkaConsumer.getmany
    lost: list[Any] = []
    is_due = False

    async def failing(client: AIOKafkaConsumer, *partitions: Any, **options: Any) -> Any:
        polled = await getmany(client, *partitions, **options)
        if polled and is_due and not lost:
            lost.append(polled)
            raise KafkaError("failed in the middle of draining")
        return polled

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", failing)
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    try:
        async with running_worker(settings):
            first, second = history(3, size=20)[:2]
            await applied(connection, await produce(settings, [first]))
            is_due = True
            # nothing comes after it that would show the hole
            await applied(connection, 1 + await produce(settings, [second]))
        assert lost
    finally:
        await connection.close()
