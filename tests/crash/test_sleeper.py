"""A worker that is put to sleep in the middle of a transaction holds nobody up for long."""

import pytest

from tests.crash.judge import judge
from tests.crash.progress import blocked, drained, locked
from tests.crash.site import Site
from tests.crash.story import story
from tests.crash.traffic import traffic
from tests.crash.workers import fleet_of
from tests.stack.waiting import until


@pytest.mark.kafka
async def test_what_a_sleeper_holds_is_taken_from_it(kafka_site: Site) -> None:
    async with traffic(kafka_site, story(6), idempotent=True) as producer:
        await producer.send(500)
        with fleet_of(1, kafka_site) as fleet:
            [sleeper] = fleet.members
            await drained(kafka_site, producer, 60)
            await producer.send(500)
            async with locked(kafka_site, "run_fact"):
                # By now its transaction has claimed positions, and it keeps them.
                await blocked(kafka_site)
                sleeper.pause()
            fleet.start()
            await drained(kafka_site, producer, 60)
            sleeper.resume()
            await until(lambda: sleeper.lines("partitions are sought again"), 30, "it to notice")
            await producer.send(500)
            ends = await drained(kafka_site, producer, 60)
            await fleet.dismiss()
            await judge(kafka_site, ends)
