"""Live updates: who is told of which run, when, and what of it survives a broken connection."""

import asyncio
import signal

import asyncpg
import httpx
import pytest

from api import stream
from api.database import MAX_CONNECTIONS
from contracts.tokens import LEEWAY_S
from projector.demo.process import free_port, is_free
from tests.api_rows import SECRET, bearer, problem_of, settings_for
from tests.command import running
from tests.stack.waiting import until
from tests.streams import Platform, Served, following, listening, next_of, nothing_but

LOGINS = 50

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAITS = "waiting_approval"


async def test_a_change_is_told_with_what_the_row_says(served: Served, platform: Platform) -> None:
    async with following(served) as client:
        await platform.runs(1, state=WAITS)
        told = await client.next()
        assert told.event == "run"
        assert told.data.pop("as_of").endswith("Z")
        run = {"run_id": platform.id(1), "project_id": "p0", "state": WAITS}
        assert told.data == {**run, "remediation_status": "no_evidence"}
        # a step says nothing that a run's row shows
        await platform.poll("step-journal", {"run_id": platform.id(1)})
        await nothing_but(client, platform, 1)
        # what bears on an incident changes its runs
        incident = "INC-20260518-AB12"
        await platform.poll("run-state", {"run_id": platform.id(2), "error_detail": incident})
        await client.next()
        await platform.poll("remediation-evidence", {"incident_id": incident})
        told = await client.next()
        assert told.data["run_id"] == platform.id(2)
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
        assert await next_of(one, platform) == (1, "running")
        for each in (other, narrowed):
            assert await next_of(each, platform) == (2, "running")
        assert len(await operator.runs(2)) == 2
        # a project that is not the bearer's is as good as none
        async with following(served, "p1", project_id="p2") as nobody:
            await platform.runs(2, project="p2", state=WAITS)
            await other.next()
            assert await nobody.comment() == "keep-alive"


async def test_silence_is_kept_alive_and_moves_the_place_on(
    served: Served, platform: Platform
) -> None:
    async with following(served, "p1") as client, asyncio.timeout(20):
        assert await client.comment() == "keep-alive"
        before = client.place
        await platform.runs(1, project="p2")
        while client.place == before:
            await client.comment()
        assert client.place


async def test_connections_are_bounded(shared_url: str) -> None:
    async with listening(shared_url, stream_connections=1) as served:
        async with following(served), httpx.AsyncClient(base_url=served.url) as http:
            answer = await http.get("/v1/stream", headers=bearer(served.settings))
            problem_of(answer, 503, "too_many_streams")
            assert answer.headers["Retry-After"]
        async with following(served):
            pass  # the place is free again


async def test_a_stream_ends_with_its_token(served: Served) -> None:
    async with following(served, seconds=2 - LEEWAY_S) as client:
        with pytest.raises(EOFError):
            await client.next()


async def test_nothing_is_connected_while_nobody_follows(
    served: Served, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "UNTOLD_S", 0.1)

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
        await (await asyncpg.connect(served.settings.database_url)).close()

    async def counted() -> bool:
        return await logins(owner) >= before + LOGINS

    await until(counted, 10, "what the database counts")
    # those of requests may be counted later than they were made
    assert await logins(owner) <= before + LOGINS + MAX_CONNECTIONS


async def logins(owner: asyncpg.Connection) -> int:
    """How often the database was logged in to, but for what has not been counted yet."""
    statement = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
    return int(await owner.fetchval(statement))


async def test_what_cannot_be_followed(served: Served) -> None:
    said = bearer(served.settings, roles=("operator",))
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=served.url) as http:
        problem_of(await http.get("/v1/stream"), 401, "missing_token")
        for query in ({"project": "p0"}, {"project_id": ""}, {"generation": "main"}):
            answer = await http.get("/v1/stream", params=query, headers=said)
            problem_of(answer, 422, "invalid_parameter")


async def test_a_server_that_is_asked_to_end_ends_its_streams(shared_url: str) -> None:
    port = free_port()
    variables = {"RUNFOLD_DATABASE_URL": shared_url, "RUNFOLD_API_PORT": str(port)}
    variables["RUNFOLD_AUTH_HS256_SECRET"] = SECRET
    with running("api", variables=variables) as process:
        await until(lambda: not is_free(port), 30, "the API to listen")
        served = Served(f"http://127.0.0.1:{port}", settings_for(shared_url))
        async with following(served) as client:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(EOFError):
                await client.next()
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(process.wait) == 0
