"""Views of very many runs: a day's history that the projector has folded, repeated for many days.

The first day is projected from events. Every further day is a copy of its rows made by SQL, with
other dates, run ids, inbound event ids, channel references and incident ids, in the columns and
in the JSON alike, so that the rows are what the projector would have written for such a day. That
this holds is checked: the audit recounts every counter, and runs computed anew do not change.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from typing import Final

import asyncpg

from contracts import buckets
from contracts.read_model import metadata
from projector.database import connected
from projector.demo.history import history
from projector.operations.audit import audit
from projector.writing.affected import Affected
from projector.writing.counters import moments
from projector.writing.recompute import recompute
from tests.applying import workers
from tests.bench.backlog import SEED, START
from tests.records import PREFIX, FakeRecord

POLL: Final = 2_000

# A row as text has its dates, its incident ids and its channel references in one form each,
# wherever they stand; the few UUIDs that it is known by are given besides.
RENAMED: Final = f"""
    CREATE FUNCTION pg_temp.renamed(
        line text, nth int, one uuid, two uuid DEFAULT NULL, three uuid DEFAULT NULL
    ) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE
        id text;
        other text;
    BEGIN
        line := replace(line, '2026-05-18', to_char(date '2026-05-18' + nth, 'YYYY-MM-DD'));
        line := replace(
            line, 'INC-20260518-', to_char(date '2026-05-18' + nth, '"INC-"YYYYMMDD"-"'));
        line := replace(line, 'alert-{SEED}-', 'alert-day' || nth || '-');
        line := replace(line, 'chat-{SEED}-', 'chat-day' || nth || '-');
        FOREACH id IN ARRAY ARRAY[one::text, two::text, three::text] LOOP
            CONTINUE WHEN id IS NULL;
            other := overlay(id PLACING lpad(to_hex(nth), 4, '0') || '-0da7' FROM 10);
            line := replace(replace(line, id, other), upper(id), upper(other));
        END LOOP;
        RETURN line;
    END $$
"""
COPY: Final = """
    INSERT INTO {table}
    SELECT (copied.line).*
    FROM (SELECT t::text AS line, {ids} FROM {table} AS t WHERE {chosen}) AS first
    CROSS JOIN generate_series(1, {days} - 1) AS nth
    CROSS JOIN LATERAL (
        SELECT pg_temp.renamed(first.line, nth, {ids})::{table} AS line OFFSET 0
    ) AS copied
"""
LISTED: Final = {"item": "rank IN (8, 9)", "run_state": "false"}
"""What lists read of these tables: decisions and messages, and nothing."""

IDS: Final = {
    "run_fact": "run_id, trigger_event",
    "run": "run_id",
    "run_incident": "run_id",
    "inbound": "event_uuid, run_id",
    "evidence": "entity",
    "item": "entity, run_id",
    "run_state": "run_id",
}
"""The UUIDs by which the rows of each table are known, and know each other."""

INDEXES: Final = """
    SELECT indexname, indexdef, indisprimary
    FROM pg_indexes
    JOIN pg_index ON indexrelid = format('g_main.%I', indexname)::regclass
    WHERE schemaname = 'g_main' AND tablename = $1
"""
COUNT: Final = """
    INSERT INTO {counter} ({key}, slot, total)
    SELECT {key}, abs(hashtext(run_id::text)) % 8, count(*)
    FROM {table} CROSS JOIN LATERAL {moments}
    GROUP BY {key}, abs(hashtext(run_id::text)) % 8
"""
COUNTED: Final = "level, bucket, project_id, state, status"
SAMPLE: Final = "SELECT run_id::text FROM run ORDER BY md5(run_id::text) LIMIT 500"


async def multiply(database_url: str, days: int, runs_a_day: int, *, whole: bool = False) -> None:
    """Fill a migrated, empty database with the views of so many days.

    Only the first day has steps and calls of its runs, and their states, unless `whole`.
    """
    async with workers(database_url, 1) as (worker,):
        offsets: defaultdict[str, Iterator[int]] = defaultdict(count)
        records = [
            FakeRecord(PREFIX + it.topic, 0, next(offsets[it.topic]), it.key.encode(), it.value)
            for it in history(SEED, runs_a_day, START)
        ]
        await worker.own(records)
        for start in range(0, len(records), POLL):
            await worker.poll(records[start : start + POLL])
    async with connected(database_url) as connection:
        await connection.execute("SET search_path = g_main; SET maintenance_work_mem = '512MB'")
        await connection.execute(RENAMED)
        for table, ids in IDS.items():
            chosen = "true" if whole else LISTED.get(table, "true")
            await _copy(connection, table, ids=ids, chosen=chosen, days=days)
        await connection.execute("TRUNCATE run_counter, incident_counter")
        for counter, table, key, of in (
            ("run_counter", "run", COUNTED, buckets.OF_RUNS),
            ("incident_counter", "run_incident", f"incident, {COUNTED}", buckets.OF_INCIDENTS),
        ):
            await connection.execute(
                COUNT.format(counter=counter, table=table, key=key, moments=moments(of))
            )
        await connection.execute("VACUUM ANALYZE")
        # the copies are held to what the projector says of their facts
        assert (await audit(connection)).faults == ()
        await connection.execute("SET search_path = g_main")
        sample = {row["run_id"] for row in await connection.fetch(SAMPLE)}
        async with connection.transaction():
            assert not await recompute(connection, Affected(runs=sample), slot=0)


async def _copy(connection: asyncpg.Connection, table: str, **given: object) -> None:
    """Copy a table's rows without its keys and indexes, which are made again afterwards."""
    key = ", ".join(column.name for column in metadata.tables[table].primary_key.columns)
    indexes = [each for each in await connection.fetch(INDEXES, table) if not each["indisprimary"]]
    await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['indexname']}")
    await connection.execute(COPY.format(table=table, **given))
    await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({key})")
    for index in indexes:
        await connection.execute(index["indexdef"])
