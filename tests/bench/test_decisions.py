"""How long a decision takes, and until its event is on the topic, with eight people deciding."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer

from tests.bench.backlog import Backlog, Site, on_brokers
from tests.bench.serving import serving
from tests.bench.timing import Times
from tests.deciding import Told, key_file, waiting
from tests.stack.topics import create_topic
from tests.stack.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

CLIENTS = 8
APPROVE = b'{"decision":"approve"}'


@on_brokers("decisions", 200, 2_000)
async def test_decisions(site: Site, tmp_path: Path, decisions: int) -> None:
    topic = f"{site.prefix}approval-command"
    await create_topic(site.bootstrap, topic)
    runs = [str(UUID(int=number + 1)) for number in range(decisions)]
    asked: dict[str, float] = {}
    seen: dict[str, float] = {}
    answered = Times()
    async with site.fresh() as database_url:
        await Told(database_url)(*(waiting(run_id=run) for run in runs))
        variables = Backlog(site.bootstrap, site.prefix).variables(database_url, "group")
        variables["RUNFOLD_APPROVAL_KEY"] = str(key_file(tmp_path))
        where = {"bootstrap_servers": site.bootstrap, "auto_offset_reset": "earliest"}
        consumer = AIOKafkaConsumer(topic, **where)
        async with consumer, serving(database_url, **variables) as api:

            async def watch() -> None:
                async for record in consumer:
                    seen.setdefault(record.key.decode(), time.perf_counter())

            async def decide(left: Iterator[str]) -> None:
                async with api.client() as client:
                    for run in left:
                        asked[run] = began = time.perf_counter()
                        status, body = await client.ask("POST", f"/v1/runs/{run}/decision", APPROVE)
                        answered.append(1000 * (time.perf_counter() - began))
                        assert status == 202, body

            watching = asyncio.create_task(watch())
            left = iter(runs)
            await asyncio.gather(*(decide(left) for _ in range(CLIENTS)))
            await until(lambda: len(seen) == decisions, 60, "all events on the topic")
            watching.cancel()
    published = Times(1000 * (seen[run] - asked[run]) for run in runs)
    name = f"decision, {CLIENTS} clients, {site.name}"
    site.figures.percentiles(f"{name}, answered", answered, decisions)
    site.figures.add(f"{name}, event on the topic, p99", published.p99, "ms", None, decisions)
