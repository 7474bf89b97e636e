"""What an operator does with dead letters: look, try again, set aside."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from projector.operations import dead_letters
from projector.operations.dead_letters import NotParked, StillBad, UnknownDeadLetter
from tests.applying import workers
from tests.records import PREFIX, record
from tests.unit.event_samples import as_bytes, least

BAD_OFFSET = 3


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A writer's connection to views that hold one parked record."""
    bad = record("project", BAD_OFFSET, b"{")
    async with workers(database_url, 1) as (worker,):
        await worker.own([bad])
        await worker.poll([record("project", n, least("project")) for n in range(BAD_OFFSET)])
        await worker.poll([bad])
    open_one = await asyncpg.connect(
        database_url, server_settings={"search_path": "g_main", "role": "runfold_writer"}
    )
    yield open_one
    await open_one.close()


async def number_of(connection: asyncpg.Connection) -> int:
    (row,) = await dead_letters.list_letters(connection)
    assert (row["reason"], row["offset"], row["state"]) == ("malformed", BAD_OFFSET, "parked")
    return int(row["id"])


async def mend(connection: asyncpg.Connection, value: bytes) -> None:
    """Stand in for a decoding that has learned to read the parked bytes."""
    await connection.execute("UPDATE dead_letter SET value = $1", value)


async def test_it_is_shown_with_its_bytes(connection: asyncpg.Connection) -> None:
    letter = await dead_letters.show(connection, await number_of(connection))
    assert (letter["topic"], bytes(letter["value"])) == (f"{PREFIX}project", b"{")
    with pytest.raises(UnknownDeadLetter, match="no dead letter 99"):
        await dead_letters.show(connection, 99)


async def test_a_retry_applies_what_can_be_read_today(connection: asyncpg.Connection) -> None:
    number = await number_of(connection)
    event = least("project", project_id="p9")
    await mend(connection, as_bytes(event))
    await dead_letters.retry(connection, number, PREFIX, by="ann")
    letter = await dead_letters.show(connection, number)
    assert (letter["state"], letter["changed_by"]) == ("retried", "ann")
    assert await connection.fetchval("SELECT count(*) FROM project WHERE project_id = 'p9'") == 1
    with pytest.raises(NotParked, match="retried already"):
        await dead_letters.retry(connection, number, PREFIX, by="ann")


async def test_one_of_another_topic_stays_parked(connection: asyncpg.Connection) -> None:
    number = await number_of(connection)
    with pytest.raises(StillBad, match="RUNFOLD_TOPIC_PREFIX"):
        await dead_letters.retry(connection, number, "other.", by="ann")
    assert (await dead_letters.show(connection, number))["state"] == "parked"


async def test_a_retry_that_comes_late_changes_nothing_newer(
    connection: asyncpg.Connection,
) -> None:
    older = least("project", display_name="older") | {"time": "2020-01-01T00:00:00Z"}
    await mend(connection, as_bytes(older))
    await dead_letters.retry(connection, await number_of(connection), PREFIX, by="ann")
    detail = json.loads(await connection.fetchval("SELECT detail FROM project"))
    assert detail["display_name"] == "Project"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[]", "malformed"),
        (as_bytes(least("project", display_name=None)), "payload"),
        (as_bytes(least("project", display_name="\0")), "rejected"),
    ],
)
async def test_a_retry_of_what_is_still_bad_says_why_today(
    connection: asyncpg.Connection, value: bytes, reason: str
) -> None:
    number = await number_of(connection)
    await mend(connection, value)
    with pytest.raises(StillBad, match=f"stays parked: {reason}"):
        await dead_letters.retry(connection, number, PREFIX, by="ann")
    letter = await dead_letters.show(connection, number)
    assert (letter["state"], letter["reason"]) == ("parked", reason)


async def test_a_discarded_one_is_kept(connection: asyncpg.Connection) -> None:
    number = await number_of(connection)
    await dead_letters.discard(connection, number, by="bob")
    letter = await dead_letters.show(connection, number)
    assert (letter["state"], letter["changed_by"]) == ("discarded", "bob")
    with pytest.raises(NotParked):
        await dead_letters.discard(connection, number, by="bob")
