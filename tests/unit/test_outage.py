"""Whose fault an error is, and one line when a dependency goes and one when it is back."""

import logging
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
from api.problems import Unavailable
from contracts.outage import Outage
from projector.dependencies import Stopping
from projector.kafka.broker_log import FrameworkLog
from projector.writing import faults
from projector.writing.faults import Fault


class Clock:
    """What time it is wherever somebody asks."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("contracts.outage.time.monotonic", clock)
    return clock


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


def test_an_outage_is_over_when_it_worked_after_the_last_failure_and_all_is_calm(
    clock: Clock,
) -> None:
    outage = Outage("broker", calm_seconds=5)
    for clock.now in (100.0, 110.0):
        outage.failed("refused")
    for clock.now, seconds_ago in ((114.0, 1), (120.0, 11)):
        outage.over(seconds_ago)
        assert outage.is_on
    with capture_logs() as lines:
        outage.over(1)
    assert lines == [{"event": "broker is back", "away_seconds": 15.0, "log_level": "info"}]


def test_a_refusal_that_stays_is_a_defect(clock: Clock) -> None:
    defects: list[Exception] = []
    log = FrameworkLog(Outage("broker"), defects.append)
    refused, away = GroupAuthorizationFailedError("group"), KafkaConnectionError("refused")

    def failing(error: Exception, seconds: int) -> None:
        for _ in range(seconds // 5):
            clock.now += 5
            log.log(logging.ERROR, "Kafka error occurred", exc_info=error)

    failing(away, 600)
    failing(refused, 55)
    clock.now += 20  # in which it went well
    failing(refused, 60)
    assert not defects
    failing(refused, 5)
    assert defects == [refused]


def test_only_the_network_is_the_brokers_fault() -> None:
    defects: list[Exception] = []
    outage = Outage("broker")
    log = FrameworkLog(outage, defects.append)
    log.log(logging.INFO, "all is well")
    assert not outage.is_on
    log.log(logging.ERROR, "Kafka error occurred", exc_info=KafkaConnectionError("refused"))
    assert outage.is_on
    unreadable = [
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        UnsupportedCodecError("no library for it"),
        CorruptRecordException("wrong checksum"),
    ]
    for error in unreadable:
        log.log(logging.ERROR, "raised an exception", exc_info=error)
    assert defects == unreadable


def after(error: Exception, before: Exception) -> Exception:
    """The error as it is raised while another one is dealt with."""
    error.__context__ = before
    return error


FAULTS: dict[Fault | None, Sequence[Exception]] = {
    Fault.DATA: (
        asyncpg.DataError("x"),
        asyncpg.UntranslatableCharacterError("x"),
        asyncpg.CheckViolationError("x"),
        asyncpg.ProgramLimitExceededError("x"),
    ),
    Fault.TRANSIENT: (asyncpg.DeadlockDetectedError("x"), asyncpg.SerializationError("x")),
    Fault.TOO_MUCH: (
        asyncpg.QueryCanceledError("x"),
        asyncpg.TransactionTimeoutError("x"),
        asyncpg.IdleInTransactionSessionTimeoutError("x"),
        after(asyncpg.InterfaceError("the connection is closed"), asyncpg.QueryCanceledError("x")),
    ),
    Fault.INFRASTRUCTURE: (
        asyncpg.AdminShutdownError("x"),
        asyncpg.DiskFullError("x"),
        asyncpg.UndefinedTableError("x"),
        asyncpg.InsufficientPrivilegeError("x"),
        asyncpg.InterfaceError("the connection is closed"),
        asyncpg.InternalClientError("another operation is in progress"),
        ConnectionRefusedError(),
        TimeoutError(),
        # whatever else was dealt with by then
        after(asyncpg.InterfaceError("the connection is closed"), KeyError("ours")),
        after(asyncpg.InterfaceError("the connection is closed"), Stopping("asked to")),
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
    with pytest.raises(Unavailable) as raised, reachable(Outage("database")):
        raise error
    assert (raised.value.status, raised.value.code) == (503, code)
