"""A database of another version is left as it is, and said to be of another version."""

import asyncpg
import pytest

from tests.command import runfold


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


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        (
            "m0099",
            "runfold: the database's schema is at revision m0099, which this version does not know:"
            " run the newer version of runfold that made it\n",
        ),
        (
            "0005",
            "runfold: the database was made by an older version of runfold, which this one cannot"
            " upgrade: migrate an empty database; its workers fill it from the topics\n",
        ),
    ],
)
async def test_a_schema_of_another_version_is_left_as_it_is(
    database_url: str, revision: str, said: str
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("UPDATE runfold.alembic_version SET version_num = $1", revision)
        finished = runfold("migrate", variables={"RUNFOLD_DATABASE_URL": database_url})
        assert (finished.status, finished.err) == (1, said)
        found = await connection.fetchval("SELECT version_num FROM runfold.alembic_version")
        assert found == revision
    finally:
        await connection.close()
