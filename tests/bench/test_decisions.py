"""How long a decision takes, and until its event is on the topic, with eight people deciding."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer

from tests.bench.databases import Fresh
from tests.bench.figures import Figures
from tests.bench.serving import Client, serving
from tests.bench.timing import Times
from tests.deciding import Told, key_file, waiting
from tests.stack.topics import create_topic
from tests.stack.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

CLIENTS: Final = 8
APPROVE: Final = b'{"decision":"approve"}'


@pytest.mark.parametrize(
    ("broker_name", "decisions"),
    [
        pytest.param("the embedded broker", 200, id="quick"),
        pytest.param("the embedded broker", 2_000, id="embedded"),
        pytest.param("Apache Kafka", 2_000, id="apache"),
    ],
)
def test_decisions(
    figures: Figures,
    fresh: Fresh,
    tmp_path: Path,
    *,
    bootstrap: str,
    broker_name: str,
    topic_prefix: str,
    decisions: int,
) -> None:
    key = key_file(tmp_path)
    answered, published = asyncio.run(_measure(fresh, bootstrap, topic_prefix, key, decisions))
    name = f"decision, {CLIENTS} clients, {broker_name}"
    figures.add(f"{name}, answered, p50", answered.p50, "ms", None, decisions)
    figures.add(f"{name}, answered, p99", answered.p99, "ms", None, decisions)
    figures.add(f"{name}, event on the topic, p99", published.p99, "ms", None, decisions)


async def _measure(
    fresh: Fresh, bootstrap: str, prefix: str, key: Path, decisions: int
) -> tuple[Times, Times]:
    topic = f"{prefix}approval-command"
    await create_topic(bootstrap, topic)
    runs = [str(UUID(int=number + 1)) for number in range(decisions)]
    asked: dict[str, float] = {}
    seen: dict[str, float] = {}
    answered, published = Times(), Times()
    async with fresh() as database_url:
        await Told(database_url)(*(waiting(run_id=run) for run in runs))
        variables = {
            "RUNFOLD_APPROVAL_KEY": str(key),
            "RUNFOLD_KAFKA_BOOTSTRAP": bootstrap,
            "RUNFOLD_TOPIC_PREFIX": prefix,
        }
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
        )
        async with consumer, serving(database_url, **variables) as api:

            async def watch() -> None:
                async for record in consumer:
                    seen.setdefault(record.key.decode(), time.perf_counter())

            async def decide(left: Iterator[str]) -> None:
                async with api.client() as client:
                    for run in left:
                        asked[run] = time.perf_counter()
                        await answered.take(lambda: _decide(client, run))  # noqa: B023

            watching = asyncio.create_task(watch())
            left = iter(runs)
            await asyncio.gather(*(decide(left) for _ in range(CLIENTS)))
            await until(lambda: len(seen) == decisions, 60, "all events on the topic")
            watching.cancel()
    published.all = [1000 * (seen[run] - asked[run]) for run in runs]
    return answered, published


async def _decide(client: Client, run: str) -> None:
    status, body = await client.post(f"/v1/runs/{run}/decision", APPROVE)
    assert status == 202, body
