"""Live updates that were missed: what a client is told that comes back to where it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from api import changes as told_changes
from api import stream
from projector.generations.activation import Target, enter
from projector.operations import change_log
from projector.worker import writer_pool
from tests.stack.servers import EmbeddedPostgres
from tests.streams import Platform, Served, following, listening, next_of, nothing_but

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAITS = "waiting_approval"


async def test_a_client_that_comes_back_is_told_what_it_missed(
    served: Served, platform: Platform
) -> None:
    async with following(served, "p1") as client:
        await platform.runs(1, project="p1")
        await client.next()
    await platform.runs(2, project="p1")
    await platform.runs(3, project="p2")
    await platform.runs(2, project="p1", state=WAITS)
    async with following(served, "p1", place=client.place) as again:
        assert await next_of(again, platform) == (2, WAITS)
        await platform.runs(4, project="p1")
        assert await next_of(again, platform) == (4, "running")


async def test_the_last_event_of_a_batch_moves_on_and_no_other(
    served: Served, platform: Platform
) -> None:
    async with following(served) as client:
        await platform.runs(1, 2, 3)
        told = await client.runs(3)
    first, second, last = (each.place for each in told)
    assert first == second != last
    for place, missed in ((first, 3), (last, 0)):
        async with following(served, place=place) as again:
            assert len(await again.runs(missed)) == missed
            await nothing_but(again, platform, 9)


async def test_a_transaction_that_commits_late_is_not_passed_over(
    shared_url: str, served: Served, platform: Platform
) -> None:
    await platform.runs(1, 2)
    pool = writer_pool(shared_url, 1)
    async with following(served) as client, pool, pool.acquire() as late:
        transaction = late.transaction()
        await transaction.start()
        await enter(late, Target("main"))
        await late.execute("UPDATE run SET state = 'late' WHERE run_id = $1", platform.id(1))
        await change_log.record(late, {platform.id(1): "p0"})
        # a later transaction commits first, and does not wait to be told
        await platform.runs(2, state=WAITS)
        assert await next_of(client, platform) == (2, WAITS)
        place = client.place
        await transaction.commit()
        assert await next_of(client, platform) == (1, "late")
    async with following(served, place=place) as again:
        assert await next_of(again, platform) == (1, "late")


@asynccontextmanager
async def under_way(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection in a transaction that has a number; what it does is undone."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("BEGIN; SELECT pg_current_xact_id()")
    try:
        yield connection
    finally:
        await connection.close()


async def pruned(database_url: str) -> int:
    async with writer_pool(database_url, 1) as pool:
        assert await change_log.prune(pool, keep_seconds=3600) == 0
        return await change_log.prune(pool, keep_seconds=0)


async def test_a_transaction_that_is_open_for_long_makes_nothing_lost(
    postgres: EmbeddedPostgres, shared_url: str, served: Served, platform: Platform
) -> None:
    await pruned(shared_url)
    # in another database: places are of the whole server
    async with under_way(postgres.url), following(served) as client:
        await platform.runs(1)
        before = (await client.next()).place
        assert await pruned(shared_url) == 1
        await platform.runs(1, state=WAITS)
        assert await next_of(client, platform) == (1, WAITS)
        async with following(served, place=before) as again:
            assert await next_of(again, platform) == (1, WAITS)


async def test_what_a_long_transaction_has_changed_is_told_or_lost(
    shared_url: str, served: Served, platform: Platform
) -> None:
    await pruned(shared_url)
    await platform.runs(1, 2)
    async with following(served) as client, under_way(shared_url) as late:
        await change_log.record(late, {platform.id(1): "p0"})
        await platform.runs(2, state=WAITS)
        before = (await client.next()).place
        assert await pruned(shared_url) == 3
        await late.execute("COMMIT")
        assert await pruned(shared_url) == 1
        async with following(served, place=before) as again:
            assert (await again.next()).event == "reset"


@pytest.mark.parametrize(
    "place", ["1:1:", "nothing", "20:10:", "9999999999:9999999999:", "1:9:4,3"]
)
async def test_from_a_place_that_leads_nowhere_the_views_are_to_be_read_again(
    shared_url: str, served: Served, platform: Platform, place: str
) -> None:
    await platform.runs(1)
    await pruned(shared_url)
    async with following(served, place=place) as client:
        assert (await client.next()).event == "reset"
        await nothing_but(client, platform, 1)


async def test_a_client_that_does_not_keep_up_is_sent_away_and_misses_nothing(
    served: Served, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_WAITING", 2)
    async with following(served) as client:
        await platform.runs(1)
        await client.next()
        await platform.runs(1, 2, 3, state=WAITS)
        with pytest.raises(EOFError):
            await client.next()
    async with following(served, place=client.place) as again:
        assert len(await again.runs(3)) == 3


async def test_more_changes_than_can_be_told_are_lost_also_those_of_runs_that_are_gone(
    served: Served, platform: Platform, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_changes, "MOST_CHANGES", 3)
    for count, told in ((2, "run"), (3, "reset")):
        async with following(served) as client:
            await platform.runs(1, state=f"before_{told}")
            place = (await client.next()).place
        await change_log.record(owner, {platform.id(1): "p0"})
        await change_log.record(owner, {platform.id(100 + n): "p0" for n in range(count)})
        async with following(served, place=place) as again:
            assert (await again.next()).event == told


async def test_a_lost_database_connection_loses_no_change(
    shared_url: str, platform: Platform, owner: asyncpg.Connection
) -> None:
    async with listening(shared_url) as served, following(served) as client:
        await platform.runs(1)
        await client.next()
        assert await owner.fetchval(
            """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'runfold-api' AND datname = current_database()
            """
        )
        await platform.runs(2)
        assert await next_of(client, platform) == (2, "running")
