"""What a producer has taken back never happened: aborted transactions on Apache Kafka."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from projector.audit import audit
from projector.rebuild.plan import Options
from projector.rebuild.run import rebuild
from tests.live import applied, running_worker, settings_of
from tests.unit.event_samples import as_bytes, least

pytestmark = pytest.mark.kafka
TAKEN_BACK, KEPT = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    yield opened
    await opened.close()


async def produce(bootstrap: str, topic: str) -> None:
    """One run in a transaction that is aborted, one in a transaction that is committed."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    await producer.start()
    try:
        for run_id in (TAKEN_BACK, KEPT):
            await producer.begin_transaction()
            await producer.send_and_wait(
                topic, as_bytes(least("run-state", run_id=run_id)), partition=0
            )
            if run_id == TAKEN_BACK:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
    finally:
        await producer.stop()


async def test_only_what_was_committed_is_in_the_views(
    database_url: str, kafka_bootstrap: str, topic_prefix: str, connection: asyncpg.Connection
) -> None:
    settings = settings_of(database_url, kafka_bootstrap, topic_prefix)
    async with running_worker(settings):
        await produce(kafka_bootstrap, f"{topic_prefix}run-state")
        await applied(connection, 1)
        await rebuild(settings, Options(name="second"), lambda _: None)
    for generation in ("g_main", "g_second"):
        runs = await connection.fetch(f"SELECT run_id::text FROM {generation}.run")
        assert [row["run_id"] for row in runs] == [KEPT]
    assert (await audit(connection)).faults == ()
