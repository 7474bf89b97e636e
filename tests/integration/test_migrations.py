"""A database of an earlier release is brought up to date with all that it holds."""

import asyncio

import asyncpg
import pytest

from projector.migrate import migrate
from tests.applying import workers
from tests.command import runfold
from tests.records import record
from tests.unit.event_samples import least

OLD = """
    ALTER TABLE g_main.item DROP CONSTRAINT detail_storable;
    ALTER TABLE g_main.item ADD CONSTRAINT detail_storable CHECK (detail::jsonb IS NOT NULL);
    UPDATE runfold.alembic_version SET version_num = '0004';
"""
CONSTRAINT = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conname = 'detail_storable' AND conrelid = 'g_main.item'::regclass
"""


async def test_the_cheaper_constraint_refuses_what_the_one_before_it_did(
    database_url: str,
) -> None:
    async with workers(database_url, 1) as (worker,):
        first = [record("step-journal", 0, least("step-journal"))]
        await worker.own(first)
        await worker.poll(first)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(OLD)
        await asyncio.to_thread(migrate, database_url)
        assert "strpos" in await connection.fetchval(CONSTRAINT)
        for detail in (r'{"a": "\\u0000"}', r'{"a": "\\\\u0000"}', '{"a": "b"}'):
            await connection.execute("UPDATE g_main.item SET detail = $1", detail)
        for detail in (r'{"a": "\u0000"}', r'{"a": "\\\u0000"}', r'{"\u0000": 1}'):
            with pytest.raises(asyncpg.UntranslatableCharacterError):
                await connection.execute("UPDATE g_main.item SET detail = $1", detail)
    finally:
        await connection.close()


async def test_views_of_another_version_are_named(database_url: str) -> None:
    variables = {"RUNFOLD_DATABASE_URL": database_url}
    assert runfold("migrate", variables=variables).err == ""
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE runfold.generation SET read_model = 1")
    await connection.close()
    finished = runfold("migrate", variables=variables)
    assert (finished.status, len(finished.err.splitlines())) == (0, 1)
    assert "'main' has read model 1" in finished.err
    assert "runfold rebuild" in finished.err


async def test_a_database_of_a_newer_version_is_left_as_it_is(database_url: str) -> None:
    variables = {"RUNFOLD_DATABASE_URL": database_url}
    assert runfold("migrate", variables=variables).err == ""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("UPDATE runfold.alembic_version SET version_num = '0099'")
        finished = runfold("migrate", variables=variables)
        assert (finished.status, finished.err) == (
            1,
            "runfold: the database's schema is at revision 0099, which this version does not know:"
            " run the newer version of runfold that made it\n",
        )
        found = await connection.fetchval("SELECT version_num FROM runfold.alembic_version")
        assert found == "0099"
    finally:
        await connection.close()
