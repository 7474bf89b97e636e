"""Live updates: who is told of which run, when, and what of it survives a broken connection."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import httpx
import pytest

from api.database import MAX_CONNECTIONS
from api.stream import changes as told_changes
from api.stream import feed, subscription
from projector.demo.process import free_port, is_free
from projector.generations import activation, schema
from projector.generations.activation import Target, enter
from projector.migrate import migrate
from projector.operations import change_log
from projector.worker import writer_pool
from projector.writing.recompute import recompute
from projector.writing.touched import Touched
from tests.api_rows import SECRET, bearer, problem_of, settings_for
from tests.applying import Worker, workers
from tests.command import running
from tests.records import record
from tests.scraping import Scrape
from tests.stack.servers import EmbeddedPostgres
from tests.stack.waiting import until
from tests.streams import Client, Served, Told, following, listening
from tests.unit.event_samples import least

WAITS = "waiting_approval"
INCIDENT = "INC-20260518-AB12"
LOGINS = 50


def run_id(number: int) -> str:
    return str(UUID(int=number))


class Platform:
    """Says what runs are in, one event at a time."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._offset = -1

    async def runs(self, *numbers: int, state: str = "running", project: str = "p0") -> None:
        """One poll with one event for each of these runs."""
        records = []
        for number in numbers:
            self._offset += 1
            event = least("run-state", run_id=run_id(number), state=state, project_id=project)
            event |= {"id": f"e{self._offset}", "entityversion": self._offset + 1}
            records.append(record("run-state", self._offset, event))
        await self._worker.own(records[:1])
        await self._worker.poll(records)


@pytest.fixture
async def platform(database_url: str) -> AsyncIterator[Platform]:
    async with workers(database_url, 1) as (worker,):
        yield Platform(worker)


@pytest.fixture
async def served(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(subscription, "KEEP_ALIVE_SECONDS", 0.2)
    async with listening(database_url) as api:
        yield api


def said(told: list[Told]) -> list[tuple[str, str]]:
    return [(each.data["run_id"], each.data["state"]) for each in told]


async def nothing_but(client: Client, platform: Platform, number: int) -> None:
    """The next thing told is this run's next change: nothing else was to be told."""
    await platform.runs(number, state="only")
    assert said([await client.next()]) == [(run_id(number), "only")]


async def test_a_change_is_told_with_what_the_row_says(served: Served, platform: Platform) -> None:
    async with following(served) as client:
        await platform.runs(1, state=WAITS)
        told = await client.next()
    assert told.event == "run"
    assert told.data.pop("as_of").endswith("Z")
    assert told.data == {
        "run_id": run_id(1),
        "project_id": "p0",
        "state": WAITS,
        "remediation_status": "no_evidence",
    }


async def test_only_changes_are_told(database_url: str, served: Served, platform: Platform) -> None:
    await platform.runs(1, 2)
    async with following(served) as client, workers(database_url, 1) as (worker,):
        # a step says nothing that a run's row shows
        step = record("step-journal", 0, least("step-journal", run_id=run_id(1)))
        await worker.own([step])
        await worker.poll([step])
        await nothing_but(client, platform, 2)


async def test_what_bears_on_an_incident_changes_its_runs(
    database_url: str, served: Served
) -> None:
    event = least("run-state", run_id=run_id(1), error_detail=INCIDENT)
    async with workers(database_url, 1) as (worker,):
        mentions = record("run-state", 0, event)
        bears = record("remediation-evidence", 0, least("remediation-evidence"))
        await worker.own([mentions, bears])
        await worker.poll([mentions])
        async with following(served) as client:
            await worker.poll([bears])
            told = await client.next()
    assert told.data["remediation_status"] != "no_evidence"


async def test_each_bearer_is_told_of_its_projects(served: Served, platform: Platform) -> None:
    async with (
        following(served, "p1") as one,
        following(served, "p2") as other,
        following(served, "p1", "p2", project_id="p2") as narrowed,
        following(served) as operator,
    ):
        await platform.runs(1, project="p1")
        await platform.runs(2, project="p2")
        assert said([await one.next()]) == [(run_id(1), "running")]
        for each in (other, narrowed):
            assert said([await each.next()]) == [(run_id(2), "running")]
        assert len(await operator.runs(2)) == 2
        # a project that is not the bearer's is as good as none
        async with following(served, "p1", project_id="p2") as nobody:
            await platform.runs(2, project="p2", state=WAITS)
            await other.next()
            assert await nobody.comment() == "keep-alive"


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
        assert said([await again.next()]) == [(run_id(2), WAITS)]
        await platform.runs(4, project="p1")
        assert said([await again.next()]) == [(run_id(4), "running")]


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
    database_url: str, served: Served, platform: Platform
) -> None:
    await platform.runs(1, 2)
    pool = writer_pool(database_url, 1)
    async with following(served) as client, pool, pool.acquire() as late:
        transaction = late.transaction()
        await transaction.start()
        await enter(late, Target("main"))
        await late.execute("UPDATE run SET state = 'late' WHERE run_id = $1", run_id(1))
        await change_log.record(late, {run_id(1): "p0"})
        # a later transaction commits first, and does not wait to be told
        await platform.runs(2, state=WAITS)
        told = await client.next()
        assert said([told]) == [(run_id(2), WAITS)]
        await transaction.commit()
        assert said([await client.next()]) == [(run_id(1), "late")]
    async with following(served, place=told.place) as again:
        assert said([await again.next()]) == [(run_id(1), "late")]


async def test_a_generation_is_told_of_once_it_is_active(
    database_url: str, served: Served, platform: Platform
) -> None:
    await platform.runs(1, 2)
    owner = await asyncpg.connect(database_url)
    try:
        async with following(served) as client:
            for statement in schema.creation("second", complete=True):
                await owner.execute(statement)
            await owner.execute("SET search_path = g_second")
            for table in ("position", "run_fact", "run_state"):
                await owner.execute(f"INSERT INTO {table} SELECT * FROM g_main.{table}")
            async with owner.transaction():
                assert await recompute(owner, Touched(runs={run_id(1), run_id(2)}), 0)
            await activation.activate(owner, "second", _caught_up)
            with pytest.raises(activation.ActiveGenerationChanged):
                await platform.runs(1)
            # the filling was not told; that any run may be another one is, and changes from then on
            assert (await client.next()).event == "reset"
            async with owner.transaction():
                await owner.execute("UPDATE run SET state = 'new' WHERE run_id = $1", run_id(2))
                await change_log.record(owner, {run_id(2): "p0"})
            assert said([await client.next()]) == [(run_id(2), "new")]
    finally:
        await owner.close()


async def _caught_up(_: str) -> None:
    return None


@asynccontextmanager
async def under_way(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection in a transaction that has a number; what it does is undone."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("BEGIN")
        await connection.execute("SELECT pg_current_xact_id()")
        yield connection
    finally:
        await connection.close()


async def pruned(database_url: str) -> int:
    async with writer_pool(database_url, 1) as pool:
        return await change_log.prune(pool, keep_seconds=0)


async def test_a_transaction_that_is_open_for_long_makes_nothing_lost(
    postgres: EmbeddedPostgres, database_url: str, served: Served, platform: Platform
) -> None:
    # in another database: places are of the whole server
    async with under_way(postgres.url), following(served) as client:
        await platform.runs(1)
        before = (await client.next()).place
        assert await pruned(database_url) == 1
        await platform.runs(1, state=WAITS)
        assert said([await client.next()]) == [(run_id(1), WAITS)]
        async with following(served, place=before) as again:
            assert said([await again.next()]) == [(run_id(1), WAITS)]


async def test_what_a_long_transaction_has_changed_is_told_or_lost(
    database_url: str, served: Served, platform: Platform
) -> None:
    await platform.runs(1, 2)
    async with following(served) as client, under_way(database_url) as late:
        await change_log.record(late, {run_id(1): "p0"})
        await platform.runs(2, state=WAITS)
        before = (await client.next()).place
        assert await pruned(database_url) == 3
        await late.execute("COMMIT")
        assert await pruned(database_url) == 1
        async with following(served, place=before) as again:
            assert (await again.next()).event == "reset"


@pytest.mark.parametrize(
    "place", ["1:1:", "nothing", "20:10:", "9999999999:9999999999:", "1:9:4,3"]
)
async def test_from_a_place_that_leads_nowhere_the_views_are_to_be_read_again(
    database_url: str, served: Served, platform: Platform, place: str
) -> None:
    await platform.runs(1)
    pool = writer_pool(database_url, 1)
    async with pool:
        assert await change_log.prune(pool, keep_seconds=3600) == 0
        assert await change_log.prune(pool, keep_seconds=0) == 1
    async with following(served, place=place) as client:
        assert (await client.next()).event == "reset"
        await nothing_but(client, platform, 1)


async def test_silence_is_kept_alive_and_moves_the_place_on(
    served: Served, platform: Platform
) -> None:
    async with following(served, "p1") as client:
        assert await client.comment() == "keep-alive"
        before = client.place
        await platform.runs(1, project="p2")
        async with asyncio.timeout(20):
            while client.place == before:
                await client.comment()
        assert client.place


async def test_connections_are_bounded(database_url: str) -> None:
    async with listening(database_url, stream_connections=1) as served:
        async with following(served), httpx.AsyncClient(base_url=served.url) as http:
            answer = await http.get("/v1/stream", headers=bearer(served.settings))
            problem_of(answer, 503, "too_many_streams")
            assert answer.headers["Retry-After"]
        async with following(served):
            pass  # the place is free again


async def test_a_client_that_does_not_keep_up_is_sent_away_and_misses_nothing(
    served: Served, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MOST_WAITING", 2)
    async with following(served) as client:
        await platform.runs(1)
        await client.next()
        await platform.runs(1, 2, 3, state=WAITS)
        with pytest.raises(EOFError):
            await client.next()
    async with following(served, place=client.place) as again:
        assert len(await again.runs(3)) == 3


async def test_more_changes_than_can_be_told_are_lost_also_those_of_runs_that_are_gone(
    database_url: str, served: Served, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_changes, "MOST_CHANGES", 3)
    owner = await asyncpg.connect(database_url)
    for count, told in ((2, "run"), (3, "reset")):
        async with following(served) as client:
            await platform.runs(1, state=f"before_{told}")
            place = (await client.next()).place
        await change_log.record(owner, {run_id(1): "p0"})
        await change_log.record(owner, {run_id(100 + number): "p0" for number in range(count)})
        async with following(served, place=place) as again:
            assert (await again.next()).event == told
    await owner.close()


async def test_a_stream_ends_with_its_token(served: Served) -> None:
    async with following(served, seconds=2) as client:
        with pytest.raises(EOFError):
            await client.next()


async def test_a_lost_database_connection_loses_no_change(
    database_url: str, served: Served, platform: Platform
) -> None:
    owner = await asyncpg.connect(database_url)
    async with following(served) as client:
        await platform.runs(1)
        await client.next()
        assert await owner.fetchval(
            """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'runfold-api' AND datname = current_database()
            """
        )
        await platform.runs(2)
        assert said([await client.next()]) == [(run_id(2), "running")]
    await owner.close()


async def test_nothing_is_connected_while_nobody_follows(
    database_url: str, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "UNTOLD_S", 0.1)
    owner = await asyncpg.connect(database_url)

    async def nobody_listens() -> bool:
        return not await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
            " AND datname = current_database()"
        )

    async with following(served):
        assert not await nobody_listens()
    await until(nobody_listens, 10, "the end of the connection that listens")
    before = await logins(owner)
    # time enough to log in about as often
    for _ in range(LOGINS):
        await (await asyncpg.connect(database_url)).close()
    await until(lambda: grown(owner, before + LOGINS), 10, "what the database counts")
    # those of requests may be counted later than they were made
    assert await logins(owner) <= before + LOGINS + MAX_CONNECTIONS
    await owner.close()


async def logins(owner: asyncpg.Connection) -> int:
    """How often the database was logged in to, but for what has not been counted yet."""
    return int(
        await owner.fetchval(
            "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
        )
    )


async def grown(owner: asyncpg.Connection, count: int) -> bool:
    return await logins(owner) >= count


async def test_an_outage_that_no_follower_outlasts_is_over_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "JOIN_S", 0.5)
    with EmbeddedPostgres(durable=False) as postgres:
        await asyncio.to_thread(migrate, postgres.url)
        async with (
            listening(postgres.url) as served,
            httpx.AsyncClient(base_url=served.url, timeout=20) as http,
        ):
            await asyncio.to_thread(postgres.kill)
            answer = await http.get("/v1/stream", headers=bearer(served.settings))
            problem_of(answer, 503, "database_unavailable")
            assert not await is_there(http)
            await asyncio.to_thread(postgres.start)
            await until(lambda: is_there(http), 30, "the log of changes")


async def is_there(http: httpx.AsyncClient) -> bool:
    """Whether the API says that the log of changes is there."""
    told = Scrape((await http.get("/metrics")).text)
    return bool(told.total("runfold_api_dependency_up", dependency="log of changes"))


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"project": "p0"}, 422),
        ({"project_id": ""}, 422),
        ({"generation": "main"}, 422),
        ({}, 401),
    ],
)
async def test_what_cannot_be_followed(served: Served, query: dict[str, str], status: int) -> None:
    headers = {} if status == 401 else bearer(served.settings, roles=("operator",))
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.get("/v1/stream", params=query, headers=headers)
    assert answer.status_code == status


async def test_a_server_that_is_asked_to_end_ends_its_streams(
    database_url: str,
) -> None:
    settings = settings_for(database_url)
    port = free_port()
    variables = {
        "RUNFOLD_DATABASE_URL": database_url,
        "RUNFOLD_AUTH_HS256_SECRET": SECRET,
        "RUNFOLD_API_PORT": str(port),
    }
    with running("api", variables=variables) as process:
        await until(lambda: not is_free(port), 30, "the API to listen")
        async with following(Served(f"http://127.0.0.1:{port}", settings)) as client:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(EOFError):
                await client.next()
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(process.wait) == 0
