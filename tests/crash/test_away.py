"""A dependency goes away in mid-stream and comes back: one line each, and nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from contracts.read_model import metadata
from tests.crash.judge import delivered, judge
from tests.crash.progress import advance, drained, views
from tests.crash.site import Site
from tests.crash.story import story
from tests.crash.traffic import Traffic, flowing, traffic
from tests.crash.workers import Fleet, Worker, fleet_of
from tests.kafka.server import KafkaServer
from tests.stack.servers import EmbeddedPostgres
from tests.stack.waiting import until

WORKERS = 2
RATE = 80
LINE_DEADLINE_S = 30.0
DRAIN_DEADLINE_S = 60.0


class Outage(NamedTuple):
    """A dependency, how long it is away, and what makes it go and come back."""

    dependency: str
    seconds: float
    stop: Callable[[], None]
    start: Callable[[], None]


async def test_the_database_goes_away_and_comes_back(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres
) -> None:
    await database_away(embedded_site, mortal_postgres, seconds=6, idempotent=False)


@pytest.mark.kafka
async def test_the_database_is_away_for_30_seconds(
    kafka_site: Site, mortal_postgres: EmbeddedPostgres
) -> None:
    await database_away(kafka_site, mortal_postgres, seconds=30, idempotent=True)


@pytest.mark.kafka
async def test_the_broker_is_away_for_30_seconds(kafka_site: Site, kafka: KafkaServer) -> None:
    async with traffic(kafka_site, story(2), idempotent=True) as producer:
        with fleet_of(WORKERS, kafka_site) as fleet:
            await away(kafka_site, producer, fleet, Outage("broker", 30, kafka.stop, kafka.start))
            # Nothing flows now: it is not a record that tells the broker is back.
            async with stopped(Outage("broker", 0, kafka.kill, kafka.start)):
                await told(fleet.members, "broker is away", 2)
            await told(fleet.members, "broker is back", 2)
            await fleet.dismiss()
            for worker in fleet.members:
                assert outages(worker) == ["broker is away", "broker is back"] * 2


async def test_a_database_that_comes_back_older_is_read_on_from_where_it_stands(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres
) -> None:
    """A backup of before the first record, say; and nothing more comes that would tell of it."""
    site = embedded_site
    async with traffic(site, story(3), idempotent=False) as producer:
        await producer.send(300)
        with fleet_of(1, site) as fleet:
            [worker] = fleet.members
            ends = await drained(site, producer, DRAIN_DEADLINE_S)
            worker.pause()
            await restore(site)
            async with stopped(Outage("database", 0, mortal_postgres.stop, mortal_postgres.start)):
                worker.resume()
                await told([worker], "database is away", 1)
            assert await drained(site, producer, DRAIN_DEADLINE_S) == ends
            await fleet.dismiss()
            assert worker.lines("the database stands elsewhere")
    assert delivered(await judge(site, ends)) == producer.sent


async def restore(site: Site) -> None:
    """Make the views those of an empty history again."""
    others = [table.name for table in metadata.sorted_tables if table.name != "position"]
    async with views(site) as connection, connection.transaction():
        await connection.execute(f"TRUNCATE {', '.join(others)}")
        await connection.execute("DELETE FROM position")


async def database_away(
    site: Site, postgres: EmbeddedPostgres, seconds: float, *, idempotent: bool
) -> None:
    async with traffic(site, story(1), idempotent=idempotent) as producer:
        with fleet_of(WORKERS, site) as fleet:
            outage = Outage("database", seconds, postgres.stop, postgres.start)
            await away(site, producer, fleet, outage)
            await fleet.dismiss()
            for worker in fleet.members:
                assert outages(worker) == ["database is away", "database is back"]


async def away(site: Site, producer: Traffic, fleet: Fleet, outage: Outage) -> None:
    """Let the outage happen while records flow; everything must be read afterwards."""
    async with flowing(producer, RATE):
        for worker in fleet.members:
            await worker.assigned()
        await advance(site, 200, LINE_DEADLINE_S)
        async with stopped(outage):
            await told(fleet.members, f"{outage.dependency} is away", 1)
            await asyncio.sleep(outage.seconds)
        await told(fleet.members, f"{outage.dependency} is back", 1)
    ends = await drained(site, producer, DRAIN_DEADLINE_S)
    assert delivered(await judge(site, ends)) == producer.sent
    fleet.nobody_gave_up()


@asynccontextmanager
async def stopped(outage: Outage) -> AsyncIterator[None]:
    """The dependency is away while the block runs."""
    await asyncio.to_thread(outage.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(outage.start)


async def told(workers: Sequence[Worker], words: str, times: int) -> None:
    """Return once every worker has said so that often."""

    def all_have() -> bool:
        return all(len(worker.lines(words)) >= times for worker in workers)

    await until(all_have, LINE_DEADLINE_S, f"every worker to say {words!r}")


def outages(worker: Worker) -> list[str]:
    """What it has said of its dependencies, in order."""
    said = [line["message"].partition(";")[0] for line in worker.lines()]
    return [each for each in said if each.endswith((" is away", " is back"))]
