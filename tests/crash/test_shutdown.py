"""SIGTERM: a worker finishes the poll in hand, leaves its group, and ends with status 0."""

import time
from functools import partial

import pytest

from contracts.topics import TOPICS
from projector.kafka.consumer import SHUTDOWN_SECONDS
from tests.crash.judge import judge
from tests.crash.mishaps import away
from tests.crash.site import PARTITIONS, Site
from tests.crash.workers import Worker, at_work
from tests.stack.servers import EmbeddedPostgres
from tests.stack.waiting import until

BACKLOG = 2500
SESSION_TIMEOUT_S = 10.0
EVERYTHING = PARTITIONS * len(TOPICS)


@pytest.mark.kafka
async def test_a_worker_in_mid_backlog_hands_over_at_once(kafka_site: Site) -> None:
    async with at_work(kafka_site, 3) as (producer, fleet):
        [staying] = fleet.members
        await staying.assigned()
        leaving = fleet.start()
        await leaving.assigned()
        await producer.send(BACKLOG)
        await kafka_site.advance(100, 30)
        asked = time.monotonic()
        leaving.terminate()
        assert await leaving.ended(SESSION_TIMEOUT_S) == 0
        await until(lambda: everything(staying) == 2, 30, "the other to take over")
        # One that is killed holds its partitions back for all of its session timeout.
        assert time.monotonic() - asked < SESSION_TIMEOUT_S
        await judge(kafka_site, await producer.drained())
        await fleet.dismiss()
    assert [line["level"] for line in leaving.lines()] == ["info"] * len(leaving.lines())


@pytest.mark.kafka
async def test_it_ends_while_its_group_waits_for_a_dead_member(kafka_site: Site) -> None:
    async with at_work(kafka_site, 4) as (_, fleet):
        [dying] = fleet.members
        await dying.assigned()
        dying.kill()
        joining = fleet.start()
        await until(lambda: talks_to(joining, kafka_site.bootstrap), 30, "it to reach the broker")
        joining.terminate()
        assert await joining.ended(SESSION_TIMEOUT_S) == 0


@pytest.mark.crash
async def test_it_ends_while_the_database_is_away(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres
) -> None:
    async with at_work(embedded_site, 4) as (producer, fleet):
        [waiting] = fleet.members
        await producer.send(BACKLOG)
        await embedded_site.advance(100, 30)
        async with away(mortal_postgres, partial(mortal_postgres.stop, immediate=True)):
            await waiting.logged("database is away")
            await fleet.start().logged("database is away")
            for worker in fleet.members:
                worker.terminate()
            assert [await worker.ended(5) for worker in fleet.members] == [0, 0]
    assert not [line for worker in fleet.members for line in worker.lines("broker")]
    await judge(embedded_site, await embedded_site.positions())


@pytest.mark.crash
async def test_it_ends_in_its_time_while_the_database_hangs(embedded_site: Site) -> None:
    async with at_work(embedded_site, 5) as (producer, fleet):
        [hanging] = fleet.members
        await producer.send(300)
        async with embedded_site.held_up():
            hanging.terminate()
            assert await hanging.ended(SHUTDOWN_SECONDS + 10) == 0
    assert hanging.lines("the poll in hand is given up")
    await judge(embedded_site, await embedded_site.positions())


def everything(worker: Worker) -> int:
    """How often it has got all partitions by now."""
    return [line["partitions"] for line in worker.lines("partitions assigned")].count(EVERYTHING)


def talks_to(worker: Worker, address: str) -> bool:
    connections = worker.process.net_connections(kind="tcp")
    return address in {f"{each.raddr.ip}:{each.raddr.port}" for each in connections if each.raddr}
