"""A database of another version is left as it is, and said to be of another version."""

import pytest

from tests.applying import fetch
from tests.command import runfold


async def test_views_of_another_version_are_named(database_url: str) -> None:
    variables = {"RUNFOLD_DATABASE_URL": database_url}
    assert runfold("migrate", variables=variables).err == ""
    await fetch(database_url, "UPDATE runfold.generation SET read_model = 1")
    finished = runfold("migrate", variables=variables)
    assert (finished.status, len(finished.err.splitlines())) == (0, 1)
    assert "'main' has read model 1" in finished.err
    assert "runfold rebuild" in finished.err


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("m0099", "at revision m0099, which this version does not know"),
        ("0005", "made by an older version of runfold, which this one cannot upgrade"),
    ],
)
async def test_a_schema_of_another_version_is_left_as_it_is(
    database_url: str, revision: str, said: str
) -> None:
    await fetch(database_url, "UPDATE runfold.alembic_version SET version_num = $1", revision)
    finished = runfold("migrate", variables={"RUNFOLD_DATABASE_URL": database_url})
    [line] = finished.err.splitlines()
    assert (finished.status, said in line) == (1, True), line
    [found] = await fetch(database_url, "SELECT version_num FROM runfold.alembic_version")
    assert found[0] == revision
