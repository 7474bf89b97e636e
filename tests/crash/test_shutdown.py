"""SIGTERM: a worker finishes the poll in hand, leaves its group, and ends with status 0."""

import asyncio
import time

import pytest

from projector.kafka.consumer import SHUTDOWN_SECONDS
from tests.crash.judge import judge
from tests.crash.progress import advance, blocked, drained, locked, positions
from tests.crash.site import PARTITIONS, SUFFIXES, Site
from tests.crash.story import story
from tests.crash.traffic import traffic
from tests.crash.workers import Worker, fleet_of
from tests.stack.servers import EmbeddedPostgres
from tests.stack.waiting import until

BACKLOG = 2500
SESSION_TIMEOUT_S = 10.0
EVERYTHING = PARTITIONS * len(SUFFIXES)


@pytest.mark.kafka
async def test_a_worker_in_mid_backlog_hands_over_at_once(kafka_site: Site) -> None:
    site = kafka_site
    async with traffic(site, story(3), idempotent=True) as producer:
        with fleet_of(1, site) as fleet:
            [staying] = fleet.members
            await staying.assigned()
            leaving = fleet.start()
            await leaving.assigned()
            await producer.send(BACKLOG)
            await advance(site, 100, 30)
            asked = time.monotonic()
            leaving.terminate()
            assert await leaving.ended(SESSION_TIMEOUT_S) == 0
            await until(lambda: has_everything(staying, 2), 30, "the other to take over")
            # One that is killed holds its partitions back for all of its session timeout.
            assert time.monotonic() - asked < SESSION_TIMEOUT_S
            await judge(site, await drained(site, producer, 60))
            await fleet.dismiss()
    assert [line["level"] for line in leaving.lines()] == ["info"] * len(leaving.lines())


@pytest.mark.kafka
async def test_it_ends_while_its_group_waits_for_a_dead_member(kafka_site: Site) -> None:
    with fleet_of(1, kafka_site) as fleet:
        [dying] = fleet.members
        await dying.assigned()
        dying.kill()
        joining = fleet.start()
        await until(lambda: joining.talks_to(kafka_site.bootstrap), 30, "it to reach the broker")
        joining.terminate()
        assert await joining.ended(SESSION_TIMEOUT_S) == 0


async def test_it_ends_while_the_database_is_away(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres
) -> None:
    async with traffic(embedded_site, story(4), idempotent=False) as producer:
        await producer.send(BACKLOG)
        with fleet_of(1, embedded_site) as fleet:
            [waiting] = fleet.members
            await waiting.assigned()
            await advance(embedded_site, 100, 30)
            await asyncio.to_thread(mortal_postgres.stop, immediate=True)
            try:
                await until(lambda: waiting.lines("database is away"), 10, "it to notice")
                newcomer = fleet.start()
                await until(lambda: newcomer.lines("database is away"), 30, "it to notice")
                for worker in fleet.members:
                    worker.terminate()
                assert [await worker.ended(5) for worker in fleet.members] == [0, 0]
            finally:
                await asyncio.to_thread(mortal_postgres.start)
    assert not [line for worker in fleet.members for line in worker.lines("broker")]
    await judge(embedded_site, await positions(embedded_site))


async def test_it_ends_within_the_time_it_has_when_the_database_hangs(
    embedded_site: Site,
) -> None:
    async with traffic(embedded_site, story(5), idempotent=False) as producer:
        await producer.send(300)
        with fleet_of(1, embedded_site) as fleet:
            [hanging] = fleet.members
            async with locked(embedded_site, "run_fact"):
                await blocked(embedded_site)
                hanging.terminate()
                assert await hanging.ended(SHUTDOWN_SECONDS + 10) == 0
    assert hanging.lines("the poll in hand is given up")
    await judge(embedded_site, await positions(embedded_site))


def has_everything(worker: Worker, times: int) -> bool:
    """Whether it has got all partitions, so many times by now."""
    assigned = [line["partitions"] for line in worker.lines("partitions assigned")]
    return assigned.count(EVERYTHING) >= times
