"""What a producer has taken back never happened: aborted transactions on Apache Kafka."""

from collections.abc import Sequence

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from projector.generations.plan import Options
from projector.generations.rebuild import rebuild
from projector.operations.audit import audit
from projector.operations.status import broker_ends, status
from tests.live import DEADLINE_S, applied, running_worker, settings_of
from tests.stack.waiting import until
from tests.unit.event_samples import as_bytes, least

pytestmark = pytest.mark.kafka
TAKEN_BACK, KEPT, LATER = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2, 3))


async def produce(bootstrap: str, topic: str, runs: Sequence[str]) -> None:
    """Each run in a transaction of its own: `TAKEN_BACK` in one that is aborted."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    await producer.start()
    try:
        for run_id in runs:
            await producer.begin_transaction()
            event = as_bytes(least("run-state", run_id=run_id))
            await producer.send_and_wait(topic, event, partition=0)
            is_kept = run_id != TAKEN_BACK
            await (producer.commit_transaction() if is_kept else producer.abort_transaction())
    finally:
        await producer.stop()


async def test_what_was_taken_back_is_in_no_view_and_no_lag(
    database_url: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    settings = settings_of(database_url, kafka_bootstrap, topic_prefix)
    topic = f"{topic_prefix}run-state"
    views = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})

    async def at_rest() -> bool:
        return (await status(views, await broker_ends(settings))).lag == 0

    async with running_worker(settings):
        # a log of which nothing counts at all
        await produce(kafka_bootstrap, topic, [TAKEN_BACK])
        await until(at_rest, DEADLINE_S, "no lag after a transaction that was taken back")
        await produce(kafka_bootstrap, topic, [KEPT])
        await applied(views, 1)
        await until(at_rest, DEADLINE_S, "no lag after a transaction's marker")
        # what comes after it is read as ever
        await produce(kafka_bootstrap, topic, [TAKEN_BACK, LATER])
        await applied(views, 2)
        await until(at_rest, DEADLINE_S, "no lag after the last")
        await rebuild(settings, Options(name="second"), lambda _: None)
    for generation in ("g_main", "g_second"):
        runs = await views.fetch(f"SELECT run_id::text FROM {generation}.run ORDER BY run_id")
        assert [row["run_id"] for row in runs] == [KEPT, LATER]
    # two records that were taken back and three markers; the one at the log's end is no gap yet
    assert await views.fetchval("SELECT sum(gaps)::int FROM position") == 5
    assert (await audit(views)).faults == ()
    await views.close()
