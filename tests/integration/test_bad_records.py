"""Bad records between good ones, through a broker: each parked once, nothing else touched."""

import base64
import json
from collections import Counter
from random import Random

import asyncpg

from contracts.decoding import Reason
from tests.histories import history
from tests.histories.bad import KINDS
from tests.histories.world import World
from tests.live import applied, produce, running_worker, settings_of
from tests.reference import Record, load, run_list

PROMISED_KINDS = 17


def stream() -> tuple[list[Record], list[Record]]:
    """Good records with one of every bad kind strewn among them, and the good ones alone."""
    rng = Random(11)
    good = history(11, size=300)
    bad = [kind.record(World.draw(Random(number))) for number, kind in enumerate(KINDS)]
    mixed = [*good, *bad]
    rng.shuffle(mixed)
    return mixed, good


async def test_each_is_parked_once_and_its_neighbours_are_applied(
    database_url: str, bootstrap: str, topic_prefix: str
) -> None:
    assert len(KINDS) >= PROMISED_KINDS
    assert {kind.reason for kind in KINDS} == {reason.value for reason in Reason}
    mixed, good = stream()
    settings = settings_of(database_url, bootstrap, topic_prefix)
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    try:
        async with running_worker(settings):
            await applied(connection, await produce(settings, mixed))
            await check_dead(connection, mixed, topic_prefix)
            await check_views(connection, good)
            after = [Record("project", "late", late_project())]
            await applied(connection, len(mixed) + await produce(settings, after))
    finally:
        await connection.close()


async def check_dead(connection: asyncpg.Connection, records: list[Record], prefix: str) -> None:
    rows = await connection.fetch("SELECT * FROM dead_letter")
    found = Counter(
        (row["topic"].removeprefix(prefix), row["reason"], bytes(row["value"])) for row in rows
    )
    expected = Counter(
        (letter.record.topic, letter.reason, letter.record.value) for letter in load(records).dead
    )
    assert found == expected
    for row in rows:
        assert row["message"].isprintable()
        headers = {name: base64.b64decode(value) for name, value in json.loads(row["headers"])}
        assert headers["content-type"].startswith(b"application/cloudevents+json")


async def check_views(connection: asyncpg.Connection, good: list[Record]) -> None:
    rows = await connection.fetch(
        "SELECT listing, summary FROM run ORDER BY created_at DESC, run_id DESC"
    )
    shown = [json.loads(row["listing"])["run_id"] for row in rows]
    summaries = [json.loads(row["summary"]) for row in rows]
    expected = run_list(load(good))
    assert shown == [run["run_id"] for run in expected]
    assert summaries == [run["remediation_summary"] for run in expected]
    totals = await connection.fetchrow(
        "SELECT sum(applied)::int AS applied, sum(gaps)::int AS gaps FROM position"
    )
    assert totals is not None
    assert (totals["gaps"], totals["applied"]) == (0, sum(r.value is not None for r in good))


def late_project() -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": "late",
            "source": "test",
            "type": "awooop.project.upserted.v1",
            "time": "2026-05-18T06:00:00Z",
            "data": {
                "project_id": "late",
                "display_name": "Late",
                "created_at": "2026-05-18T06:00:00Z",
            },
        }
    ).encode()
