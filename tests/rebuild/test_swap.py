"""What operators, readers and workers had before a swap, they have after it."""

import asyncio
from typing import Any

import asyncpg
import pytest

from projector.generations.activation import NotCaughtUp, activate
from tests.api_rows import serving
from tests.histories import history
from tests.live import applied
from tests.rebuild.place import Place
from tests.stack.waiting import until

LETTERS = """
    SELECT id, topic, partition, "offset", reason, state, changed_by, changed_at, created_at
    FROM {schema}.dead_letter
    ORDER BY topic, partition, "offset"
"""
DECODABLE = (
    b'{"specversion":"1.0","id":"e1","source":"s","type":"awooop.project.upserted.v1",'
    b'"time":"2026-05-18T06:00:00Z","entityversion":1,"data":{"project_id":"late",'
    b'"display_name":"Late","created_at":"2026-05-18T06:00:00Z"}}'
)


async def letters(place: Place, generation: str) -> list[dict[str, Any]]:
    rows = await place.connection.fetch(LETTERS.format(schema=f"g_{generation}"))
    return [dict(row) for row in rows]


async def test_dead_letters_keep_their_numbers_and_what_was_decided(place: Place) -> None:
    first, second, *_ = await letters(place, "main")
    await place.done("dead-letters", "discard", str(first["id"]), "--by", "ann")
    # as if today's code could read what yesterday's could not, in both generations
    await place.done("rebuild", "--name", "second", "--no-activate")
    for schema in ("g_main", "g_second"):
        await place.connection.execute(
            f'UPDATE {schema}.dead_letter SET value = $1, topic = $2, "offset" = 100000'
            ' WHERE topic = $3 AND partition = $4 AND "offset" = $5',
            DECODABLE,
            f"{place.settings.topic_prefix}project",
            second["topic"],
            second["partition"],
            second["offset"],
        )
    await place.done("dead-letters", "retry", str(second["id"]), "--by", "bob")
    known = await letters(place, "main")
    assert [each["id"] for each in await letters(place, "second")] != [e["id"] for e in known]

    await place.done("generations", "activate", "second")

    assert await letters(place, "second") == known
    assert {each["state"] for each in known} == {"parked", "retried", "discarded"}
    found = "SELECT count(*) FROM g_second.project WHERE project_id = 'late'"
    assert await place.connection.fetchval(found) == 1
    third = next(each for each in known if each["state"] == "parked")
    await place.done("dead-letters", "discard", str(third["id"]), "--by", "cid")
    await place.done("generations", "activate", "main")
    (back,) = [each for each in await letters(place, "main") if each["id"] == third["id"]]
    assert (back["state"], back["changed_by"]) == ("discarded", "cid")


async def test_a_record_that_only_the_old_code_could_use_stays_parked(place: Place) -> None:
    letter, *_ = await letters(place, "main")
    await place.connection.execute(
        "UPDATE g_main.dead_letter SET state = 'retried', changed_by = 'ann',"
        " changed_at = clock_timestamp() WHERE id = $1",
        letter["id"],
    )
    await place.done("rebuild", "--name", "second")
    (kept,) = [each for each in await letters(place, "second") if each["id"] == letter["id"]]
    assert (kept["state"], kept["changed_by"]) == ("parked", None)


async def test_cursors_and_entity_tags_go_on(place: Place) -> None:
    lists: dict[str, dict[str, Any]] = {
        "/v1/runs": {"per_page": 2},
        "/v1/contracts": {"limit": 2},
        "/v1/ops/dead-letters": {"limit": 2},
    }
    operator = ["operator"]
    async with serving(place.settings.database_url) as api:
        cursors, tags, rest = {}, {}, {}
        for path, size in lists.items():
            answer = await api.ask(path, roles=operator, **size)
            assert answer.status_code == 200, answer.text
            cursors[path], tags[path] = answer.json()["next_cursor"], answer.headers["ETag"]
            assert cursors[path], path
            rest[path] = await api.get(path, roles=operator, **size, cursor=cursors[path])
        await place.done("rebuild", "--name", "second")
        for path, size in lists.items():
            again = await api.get(path, roles=operator, **size, cursor=cursors[path])
            assert again | {"as_of": None} == rest[path] | {"as_of": None}, path
            unchanged = await api.ask(
                path, roles=operator, headers={"If-None-Match": tags[path]}, **size
            )
            assert unchanged.status_code == 304, path


async def test_idle_workers_are_seen_at_once_and_follow(place: Place) -> None:
    async with serving(place.settings.database_url) as api:
        await place.done("rebuild", "--name", "second")
        ready = await api.http.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert ready.json()["generation"] == "second"

        async def reported() -> bool:
            rows = await place.connection.fetch(
                "SELECT generation FROM runfold.worker"
                " WHERE seen_at > (SELECT activated_at FROM runfold.generation"
                " WHERE name = 'second')"
            )
            return [row["generation"] for row in rows] == ["second"]

        await until(reported, 30, "a report of a worker that has nothing to do")
    await place.done("generations", "drop", "main")
    await place.send(history(51, size=20))
    await place.caught_up()
    await place.is_sound()


async def test_a_generation_that_lacks_events_is_not_activated(place: Place) -> None:
    await place.done("rebuild", "--name", "second", "--no-activate")
    await place.send(history(52, size=20))
    await place.caught_up()

    async def nothing(_: str) -> None:
        """Catch up with nothing."""

    connection = await asyncpg.connect(place.settings.database_url)
    try:
        with pytest.raises(NotCaughtUp, match="it would show readers an older view"):
            await activate(connection, "second", nothing)
    finally:
        await connection.close()
    assert await place.active() == "main"
    await place.done("generations", "activate", "second")
    assert await place.differences("main", "second") == []


async def test_a_worker_keeps_a_generation_up_to_date_that_is_not_active(place: Place) -> None:
    await place.done("rebuild", "--name", "second", "--no-activate")
    worker = await place.begun("projector", "--generation", "second")
    try:
        await place.send(history(53, size=60))
        await place.caught_up()
        await place.connection.execute("SET search_path = g_second")
        await applied(place.connection, place.sent)
        assert await place.differences("main", "second") == []
        assert (await place.refused("generations", "drop", "second")).endswith("; stop that first")

        sending = asyncio.create_task(place.send(history(54, size=200)))
        await place.done("generations", "activate", "second")
        await sending
        await place.caught_up()
        await place.is_sound()
        assert worker.returncode is None
    finally:
        worker.terminate()
        await worker.communicate()
    await place.done("generations", "activate", "main")
    assert await place.differences("main", "second") == []
