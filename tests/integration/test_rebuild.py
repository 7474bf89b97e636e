"""A new generation from the topics, beside the live one, and the swap."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from projector.generations.diff import diff
from projector.generations.plan import Options
from projector.generations.rebuild import rebuild
from projector.operations.audit import audit
from tests.histories import history
from tests.live import applied, produce, running_worker, settings_of


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    yield opened
    await opened.close()


async def differences(connection: asyncpg.Connection, one: str, other: str) -> list[str]:
    async with connection.transaction(isolation="repeatable_read"):
        return [str(each) for each in (await diff(connection, one, other)).named]


async def active(connection: asyncpg.Connection) -> str:
    return str(await connection.fetchval("SELECT name FROM runfold.active_generation"))


async def test_a_rebuild_says_what_the_live_views_say(
    database_url: str, bootstrap: str, topic_prefix: str, connection: asyncpg.Connection
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    async with running_worker(settings):
        sent = await produce(settings, history(21, size=400, bad=True))
        await applied(connection, sent)
        await rebuild(settings, Options(name="second", workers=2), lambda _: None)
        assert await active(connection) == "second"
        assert await differences(connection, "main", "second") == []
        assert (await audit(connection)).faults == ()
        await connection.execute("SET search_path = g_second")
        await applied(connection, sent + await produce(settings, history(22, size=200)))
        assert (await audit(connection)).faults == ()
