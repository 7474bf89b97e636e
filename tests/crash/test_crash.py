"""Crashes of everything, at random instants, while records flow."""

import os
from random import Random

import pytest

from tests.crash.judge import judge
from tests.crash.mishaps import SIZE, Mishaps
from tests.crash.site import Site
from tests.crash.workers import at_work
from tests.kafka.server import KafkaServer
from tests.stack.servers import EmbeddedPostgres

ROUNDS = int(os.environ.get("RUNFOLD_TEST_CRASH_ROUNDS", "0"))
"""How many seeds; each is a suite of its own. Unset, three on the embedded broker, of which the
first belongs to the default suite, and one on Apache Kafka."""

FURTHER = [pytest.param(seed, marks=pytest.mark.crash) for seed in range(2, 1 + (ROUNDS or 3))]

RATE = 80
"""Records a second."""


@pytest.mark.parametrize("seed", [1, *FURTHER])
async def test_crashes_change_nothing(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres, seed: int
) -> None:
    await crash(embedded_site, seed, mortal_postgres)


@pytest.mark.kafka
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(1, 1 + (ROUNDS or 1)))
async def test_crashes_change_nothing_on_kafka(
    kafka_site: Site, mortal_postgres: EmbeddedPostgres, kafka: KafkaServer, seed: int
) -> None:
    assert await crash(kafka_site, seed, mortal_postgres, kafka) >= 20


async def crash(
    site: Site, seed: int, postgres: EmbeddedPostgres, kafka: KafkaServer | None = None
) -> int:
    """Let everything happen while records flow, and judge; how many workers were killed."""
    async with at_work(site, seed, SIZE) as (producer, fleet):
        mishaps = Mishaps(site, fleet, Random(seed))
        async with producer.flowing(RATE):
            for each in mishaps.all(postgres, kafka):
                await mishaps.happen(each)
        ends = await producer.drained()
        await fleet.dismiss()
    assert await judge(site, ends) == producer.sent
    return mishaps.kills
