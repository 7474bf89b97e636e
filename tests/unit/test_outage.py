"""Whose fault an error is, and one line when a dependency goes and one when it is back."""

from collections.abc import Sequence

import asyncpg
import pytest
from aiokafka.errors import (
    CorruptRecordException,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    UnsupportedCodecError,
)
from structlog.testing import capture_logs

from api.database import reachable
from api.problems import Problem
from contracts.health import Outage, Stopping
from projector.kafka.consumer import is_outage
from projector.writing import faults
from projector.writing.faults import Fault


def test_each_outage_is_logged_once_and_so_is_its_end() -> None:
    outage = Outage("database")
    with capture_logs() as lines:
        for _ in range(2):
            for _ in range(5):
                outage.failed(OSError("refused"))
            assert outage.is_on
            for _ in range(2):
                outage.over()
    assert [line["log_level"] for line in lines] == ["warning", "info"] * 2
    assert (outage.ended, outage.failures, outage.last_error) == (2, 10, "refused")


@pytest.mark.parametrize(
    ("error", "is_away"),
    [
        (KafkaConnectionError("refused"), True),
        (OSError("refused"), True),
        # no wait cures these: the worker ends
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), False),
        (UnsupportedCodecError("no library for it"), False),
        (CorruptRecordException("wrong checksum"), False),
        (GroupAuthorizationFailedError("group"), False),
    ],
)
def test_only_the_network_is_the_brokers_fault(error: Exception, *, is_away: bool) -> None:
    assert is_outage(error) is is_away


def after(error: Exception, before: Exception) -> Exception:
    """The error as it is raised while another one is dealt with."""
    error.__context__ = before
    return error


GONE = "the connection is closed"
FAULTS: dict[Fault | None, Sequence[Exception]] = {
    Fault.DATA: (
        *(asyncpg.DataError("x"), asyncpg.UntranslatableCharacterError("x")),
        *(asyncpg.CheckViolationError("x"), asyncpg.ProgramLimitExceededError("x")),
    ),
    Fault.TRANSIENT: (asyncpg.DeadlockDetectedError("x"), asyncpg.SerializationError("x")),
    Fault.TOO_MUCH: (
        *(asyncpg.QueryCanceledError("x"), asyncpg.TransactionTimeoutError("x")),
        asyncpg.IdleInTransactionSessionTimeoutError("x"),
        after(asyncpg.InterfaceError(GONE), asyncpg.QueryCanceledError("x")),
    ),
    Fault.INFRASTRUCTURE: (
        *(asyncpg.AdminShutdownError("x"), asyncpg.DiskFullError("x")),
        *(asyncpg.UndefinedTableError("x"), asyncpg.InsufficientPrivilegeError("x")),
        *(asyncpg.InterfaceError(GONE), asyncpg.InternalClientError("another in progress")),
        *(ConnectionRefusedError(), TimeoutError()),
        # whatever else was dealt with by then
        after(asyncpg.InterfaceError(GONE), KeyError("ours")),
        after(asyncpg.InterfaceError(GONE), Stopping("asked to")),
    ),
    None: (KeyError("ours"), after(Stopping("asked to"), asyncpg.UniqueViolationError("x"))),
}


@pytest.mark.parametrize(
    ("error", "fault"), [(error, fault) for fault, errors in FAULTS.items() for error in errors]
)
def test_whose_fault_an_error_is(error: Exception, fault: Fault | None) -> None:
    assert faults.of(error) is fault


def test_a_connection_that_is_gone_after_a_long_time_was_given_too_much() -> None:
    gone = asyncpg.InterfaceError("the connection has been released back to the pool")
    assert faults.of(gone, after=faults.SILENCE_S - 1) is Fault.INFRASTRUCTURE
    assert faults.of(gone, after=faults.SILENCE_S) is Fault.TOO_MUCH
    deadlock = asyncpg.DeadlockDetectedError("x")
    assert faults.of(deadlock, after=faults.SILENCE_S) is Fault.TRANSIENT


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
    with pytest.raises(Problem) as raised, reachable(Outage("database")):
        raise error
    assert (raised.value.status, raised.value.code) == (503, code)
