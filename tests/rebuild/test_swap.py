"""What operators, readers and workers had before a swap, they have after it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contracts.errors import OperationError
from projector.database import as_writer, connected
from projector.generations.activation import activate
from projector.operations.dead_letters import discard, retry
from tests.api_rows import serving
from tests.histories import history
from tests.rebuild.place import Place
from tests.stack.waiting import until
from tests.unit.event_samples import as_bytes, least

LETTERS = """
    SELECT id, topic, partition, "offset", reason, state, changed_by, changed_at, created_at
    FROM runfold.dead_letter
    WHERE $1 = ANY(generations)
    ORDER BY topic, partition, "offset"
"""
DECODABLE = as_bytes(least("project", project_id="late"))
DROP_WAITS = """
    SELECT count(*) FROM pg_locks
    WHERE NOT granted AND relation = 'g_second.run'::regclass AND mode = 'AccessExclusiveLock'
"""
POINTER = "SELECT name FROM runfold.active_generation FOR UPDATE NOWAIT"
REPORTS = """
    SELECT array_agg(generation) FROM runfold.worker
    WHERE seen_at > (SELECT activated_at FROM runfold.generation WHERE name = 'second')
"""


async def letters(place: Place, generation: str) -> list[dict[str, Any]]:
    rows = await place.connection.fetch(LETTERS, generation)
    return [dict(row) for row in rows]


async def decided(place: Place, decide: Callable[..., Awaitable[None]], *what: object) -> None:
    async with as_writer(place.settings.database_url) as writer:
        await decide(writer, *what)


async def test_dead_letters_keep_their_numbers_and_what_was_decided(filled: Place) -> None:
    first, second, third, *_ = await letters(filled, "first")
    await decided(filled, discard, first["id"], "ann")
    await filled.rebuild("second", activate=False)
    # as if today's code could read what that of both generations could not
    prefix = filled.settings.topic_prefix
    mended = "UPDATE runfold.dead_letter SET value = $1, topic = $2 WHERE id = $3"
    await filled.connection.execute(mended, DECODABLE, f"{prefix}project", second["id"])
    await decided(filled, retry, second["id"], prefix, "bob")
    known = await letters(filled, "first")
    found = "SELECT count(*) FROM g_second.project WHERE project_id = 'late'"
    assert await filled.connection.fetchval(found) == 0
    await filled.activate("second")
    assert await letters(filled, "second") == known
    assert {each["state"] for each in known} == {"parked", "retried", "discarded"}
    assert await filled.connection.fetchval(found) == 1
    await decided(filled, discard, third["id"], "cid")
    await filled.activate("first")
    (back,) = [each for each in await letters(filled, "first") if each["id"] == third["id"]]
    assert (back["state"], back["changed_by"]) == ("discarded", "cid")

    # as if only yesterday's code could use it
    retried = "UPDATE runfold.dead_letter SET state = 'retried', changed_by = 'ann' WHERE id = $1"
    await filled.connection.execute(retried, third["id"])
    await filled.rebuild("later")
    (kept,) = [each for each in await letters(filled, "later") if each["id"] == third["id"]]
    assert (kept["state"], kept["changed_by"]) == ("parked", None)


async def test_cursors_and_entity_tags_go_on(filled: Place) -> None:
    sizes = {"/v1/runs": "per_page", "/v1/contracts": "limit", "/v1/ops/dead-letters": "limit"}
    async with serving(filled.settings.database_url) as api:
        before = {}
        for path, size in sizes.items():
            asked: dict[str, Any] = {"roles": ["operator"], size: 2}
            first = await api.ask(path, **asked)
            assert first.status_code == 200, first.text
            assert first.json()["next_cursor"], path
            more, tag = {"cursor": first.json()["next_cursor"]}, first.headers["ETag"]
            before[path] = asked, tag, more, await api.get(path, **asked, **more)
        await filled.rebuild("second")
        for path, (asked, tag, more, rest) in before.items():
            again = await api.get(path, **asked, **more)
            assert again | {"as_of": None} == rest | {"as_of": None}, path
            unchanged = await api.ask(path, headers={"If-None-Match": tag}, **asked)
            assert unchanged.status_code == 304, path


async def test_idle_workers_are_seen_at_once_and_follow(place: Place) -> None:
    async with serving(place.settings.database_url) as api:

        async def is_ready() -> bool:
            return (await api.http.get("/readyz")).status_code == 200

        await until(is_ready, 30, "a worker that knows how far its partitions reach")
        await place.rebuild("second")
        ready = await api.http.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert ready.json()["generation"] == "second"

        async def reported() -> bool:
            return bool(await place.connection.fetchval(REPORTS) == ["second"])

        await until(reported, 30, "a report of a worker that has nothing to do")
    await place.drop("main")
    await place.is_sound(*history(51, size=20))


async def test_a_generation_that_lacks_events_is_not_activated(bare: Place) -> None:
    await bare.send(history(52, size=20))
    for name in ("first", "second"):
        await bare.rebuild(name)
    # as if more had been read since
    await bare.connection.execute("UPDATE g_second.position SET next_offset = next_offset + 1")

    async def nothing(_: str) -> None:
        """Catch up with nothing."""

    async with connected(bare.settings.database_url) as connection:
        with pytest.raises(OperationError, match="it would show readers an older view"):
            await activate(connection, "first", nothing)
    assert await bare.active() == "second"


@pytest.mark.crash
async def test_one_that_is_read_is_not_dropped_and_holds_up_no_swap(bare: Place) -> None:
    await bare.rebuild("second", activate=False)

    async def waits() -> bool:
        return bool(await bare.connection.fetchval(DROP_WAITS))

    async with connected(bare.settings.database_url) as reader, reader.transaction():
        await reader.fetchval("SELECT count(*) FROM g_second.run")
        dropping = asyncio.create_task(bare.drop("second"))
        await until(waits, 60, "the drop to wait for the reader")
        # who changes the active generation locks this row while all workers wait
        assert await bare.connection.fetchval(POINTER) == "main"
        with pytest.raises(OperationError, match="is not dropped: somebody is reading it"):
            await dropping
    assert await bare.states() == {"main": "active", "second": "standing by"}
    await bare.drop("second")
    assert await bare.states() == {"main": "active"}
