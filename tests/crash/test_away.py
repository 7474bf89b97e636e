"""A server or a worker is away for long in mid-stream and comes back, and nothing is lost."""

import asyncio

import pytest

from contracts.read_model import metadata
from tests.crash.judge import judge
from tests.crash.mishaps import away
from tests.crash.site import Site
from tests.crash.workers import at_work
from tests.kafka.server import KafkaServer
from tests.stack.servers import EmbeddedPostgres, MortalServer

LONG_S = 30.0


@pytest.mark.crash
async def test_the_database_is_away_for_30_seconds(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres
) -> None:
    await twice_away(embedded_site, "database", mortal_postgres)


@pytest.mark.kafka
async def test_the_broker_is_away_for_30_seconds(kafka_site: Site, kafka: KafkaServer) -> None:
    await twice_away(kafka_site, "broker", kafka)


async def twice_away(site: Site, name: str, server: MortalServer) -> None:
    """The server is stopped for long while records flow, then killed while none do."""
    async with at_work(site, 1, size=2) as (producer, fleet):
        async with producer.flowing(80):
            await fleet.logged("partitions assigned")
            await site.advance(200, 30)
            async with away(server, server.stop):
                await fleet.logged(f"{name} is away", 1)
                await asyncio.sleep(LONG_S)
            await fleet.logged(f"{name} is back", 1)
        ends = await producer.drained()
        async with away(server, server.kill):
            await fleet.logged(f"{name} is away", 2)
        await fleet.logged(f"{name} is back", 2)
        await fleet.dismiss()
        assert await judge(site, ends) == producer.sent
        for worker in fleet.members:
            said = [line["message"].partition(";")[0] for line in worker.lines()]
            outages = [each for each in said if each.endswith((" is away", " is back"))]
            assert outages == [f"{name} is away", f"{name} is back"] * 2


@pytest.mark.crash
async def test_a_database_that_comes_back_older_is_read_on_from_where_it_stands(
    embedded_site: Site, mortal_postgres: EmbeddedPostgres
) -> None:
    """A backup of before the first record, say; and nothing more comes that would show it."""
    async with at_work(embedded_site, 3) as (producer, fleet):
        [worker] = fleet.members
        await producer.send(300)
        ends = await producer.drained()
        worker.process.suspend()
        await empty(embedded_site)
        async with away(mortal_postgres, mortal_postgres.stop):
            worker.process.resume()
            await worker.logged("database is away")
        await producer.drained()
        await fleet.dismiss()
        assert worker.lines("the database stands elsewhere")
        assert await judge(embedded_site, ends) == producer.sent


@pytest.mark.crash
async def test_what_a_sleeper_holds_is_taken_from_it(embedded_site: Site) -> None:
    async with at_work(embedded_site, 6) as (producer, fleet):
        [sleeper] = fleet.members
        await producer.send(500)
        await producer.drained()
        await producer.send(500)
        async with embedded_site.held_up():
            # By now its transaction has claimed positions, and it keeps them.
            sleeper.process.suspend()
        fleet.start()
        await producer.drained()
        sleeper.process.resume()
        await sleeper.logged("partitions are sought again")
        await producer.send(500)
        ends = await producer.drained()
        await fleet.dismiss()
        assert await judge(embedded_site, ends) == producer.sent


async def empty(site: Site) -> None:
    tables = [table for table in metadata.tables if table != "position"]
    async with site.views() as connection, connection.transaction():
        await connection.execute(f"TRUNCATE {', '.join(tables)}")
        await connection.execute("DELETE FROM position")
