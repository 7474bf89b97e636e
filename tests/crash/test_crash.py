"""Crashes of everything, at random instants, while records flow."""

import os
from random import Random

import pytest

from tests.crash.judge import delivered, judge
from tests.crash.mishaps import SIZE, Mishaps
from tests.crash.progress import drained
from tests.crash.site import Site
from tests.crash.story import story
from tests.crash.traffic import flowing, traffic
from tests.crash.workers import fleet_of
from tests.kafka.server import KafkaServer
from tests.stack.servers import EmbeddedPostgres

ROUNDS = int(os.environ.get("RUNFOLD_TEST_CRASH_ROUNDS", "1"))
"""How many seeds; each is a suite of its own."""

RATE = 80
"""Records a second."""

DRAIN_DEADLINE_S = 120.0

ON_KAFKA = (
    *["kill_one"] * 8,
    *["kill_two"] * 4,
    *["kill_all"] * 2,
    *["leave"] * 3,
    *["join"] * 2,
    *["zombie"] * 2,
    *["postgres_stop", "postgres_immediate", "postgres_kill"],
    *["kafka_stop", "kafka_kill", "kafka_kill"],
)
ON_THE_EMBEDDED_BROKER = (
    *["kill_one", "kill_all", "zombie", "postgres_immediate", "postgres_kill"],
)


@pytest.mark.parametrize("seed", range(1, 1 + ROUNDS))
async def test_crashes_change_nothing(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres, seed: int
) -> None:
    await crash(embedded_site, mortal_postgres, None, ON_THE_EMBEDDED_BROKER, seed)


@pytest.mark.kafka
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(1, 1 + ROUNDS))
async def test_crashes_change_nothing_on_kafka(
    kafka_site: Site, mortal_postgres: EmbeddedPostgres, kafka: KafkaServer, seed: int
) -> None:
    kills = await crash(kafka_site, mortal_postgres, kafka, ON_KAFKA, seed)
    assert kills >= 20


async def crash(
    site: Site,
    postgres: EmbeddedPostgres,
    kafka: KafkaServer | None,
    mishaps: tuple[str, ...],
    seed: int,
) -> int:
    """Let the mishaps happen in an order of chance and judge; how many workers were killed."""
    rng = Random(seed)
    async with traffic(site, story(seed), idempotent=kafka is not None) as producer:
        with fleet_of(SIZE, site) as fleet:
            happening = Mishaps(site, fleet, rng, postgres, kafka)
            async with flowing(producer, RATE):
                for name in rng.sample(mishaps, len(mishaps)):
                    await happening.happen(name)
            ends = await drained(site, producer, DRAIN_DEADLINE_S)
            await fleet.dismiss()
            fleet.nobody_gave_up()
    log = await judge(site, ends)
    assert delivered(log) == producer.sent
    return happening.kills
