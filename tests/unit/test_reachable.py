"""What the database raises is an answer that says so, and an outage is told once."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from api.database import reachable
from api.problems import Unavailable
from contracts.health import Outage


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(Unavailable) as raised:
        yield
    assert (raised.value.status, raised.value.code) == (503, code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncpg.ReadOnlySQLTransactionError("standby"), "database_unavailable"),
        (asyncpg.DeadlockDetectedError("deadlock"), "database_busy"),
        (asyncpg.SerializationError("conflict"), "database_busy"),
        (asyncpg.QueryCanceledError("timeout"), "query_timeout"),
        (ConnectionRefusedError("away"), "database_unavailable"),
    ],
)
def test_what_passes_is_no_fault_of_the_api(error: Exception, code: str) -> None:
    with refused(code), reachable(Outage("database")):
        raise error


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    database = Outage("database")
    with capture_logs() as lines:
        for _ in range(5):
            with refused("database_unavailable"), reachable(database):
                raise ConnectionRefusedError("away")
        assert database.is_on
        for _ in range(5):
            with reachable(database):
                pass
    assert [line["event"] for line in lines] == [
        "database is away; waiting for it and trying again",
        "database is back",
    ]
