"""One line when a dependency goes, one when it is back."""

import asyncio
import logging

import asyncpg
import pytest
from aiokafka.errors import (
    CorruptRecordException,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    UnsupportedCodecError,
)
from projector.kafka.broker_log import BrokerLog, FrameworkLog
from structlog.testing import capture_logs

from contracts.health import LONGEST_PAUSE, Outage
from projector.dependencies import Dependencies, Stopping
from projector.writing import faults
from projector.writing.faults import Fault


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    with capture_logs() as lines:
        outage = Outage("database")
        for _ in range(5):
            outage.failed(OSError("refused"))
        assert outage.is_on
        outage.over()
        outage.over()
    assert [line["event"] for line in lines] == [
        "database is away; waiting for it and trying again",
        "database is back",
    ]
    assert outage.last_error == "refused"


def test_a_second_outage_is_told_again() -> None:
    with capture_logs() as lines:
        outage = Outage("broker")
        for _ in range(2):
            outage.failed("gone")
            outage.over()
    assert len(lines) == 4


def test_an_outage_is_over_when_it_worked_after_the_last_failure_and_all_is_calm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("contracts.health.time.monotonic", lambda: now)
    outage = Outage("broker", calm_seconds=5)
    outage.failed("refused")
    now = 110.0
    outage.failed("refused again")
    with capture_logs() as lines:
        now = 114.0
        outage.over(1)
        now = 120.0
        outage.over(11)
        assert not lines
        outage.over(1)
    assert lines == [{"event": "broker is back", "away_seconds": 15.0, "log_level": "info"}]


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        ("Unable connect to node with id 1: refused", True),
        ("Heartbeat failed for group runfold because it is rebalancing", False),
        ("Heartbeat session expired - marking coordinator dead", False),
    ],
)
def test_aiokafkas_warnings_are_one_outage(message: str, *, counts: bool) -> None:
    outage = Outage("broker")
    log = BrokerLog(outage)
    with capture_logs() as lines:
        for _ in range(3):
            log.handle(logging.LogRecord("aiokafka", logging.ERROR, "", 0, message, (), None))
    assert outage.is_on is counts
    assert len(lines) == int(counts)


async def test_who_waits_for_a_dependency_stops_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("contracts.health.random.uniform", lambda *_: LONGEST_PAUSE)
    stopping = asyncio.Event()
    needs = Dependencies(pool=None, stopping=stopping)  # type: ignore[arg-type]
    waiting = asyncio.create_task(needs.wait_for(needs.database, OSError("away")))
    asyncio.get_running_loop().call_soon(stopping.set)
    with pytest.raises(Stopping):
        await asyncio.wait_for(waiting, LONGEST_PAUSE)


def test_a_connection_lost_within_a_transaction_is_told_by_its_cause() -> None:
    lost = asyncpg.AdminShutdownError("terminating connection")
    told = asyncpg.InterfaceError("cannot call Transaction.__aexit__()")
    told.__context__ = lost
    assert faults.cause(told) is lost
    assert faults.cause(lost) is lost
    told.__context__ = asyncpg.ConnectionDoesNotExistError("closed in the middle of operation")
    told.__context__.__cause__ = lost
    assert faults.cause(told) is lost
    told.__context__ = asyncpg.InternalClientError("cannot switch to state 12")
    assert str(faults.cause(told)) == "the connection was lost"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (asyncpg.DataError("x"), Fault.DATA),
        (asyncpg.UntranslatableCharacterError("x"), Fault.DATA),
        (asyncpg.CheckViolationError("x"), Fault.DATA),
        (asyncpg.ProgramLimitExceededError("x"), Fault.DATA),
        (asyncpg.DeadlockDetectedError("x"), Fault.TRANSIENT),
        (asyncpg.SerializationError("x"), Fault.TRANSIENT),
        (asyncpg.AdminShutdownError("x"), Fault.INFRASTRUCTURE),
        (asyncpg.QueryCanceledError("x"), Fault.TOO_MUCH),
        (asyncpg.TransactionTimeoutError("x"), Fault.TOO_MUCH),
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), Fault.TOO_MUCH),
        (asyncpg.DiskFullError("x"), Fault.INFRASTRUCTURE),
        (asyncpg.UndefinedTableError("x"), Fault.INFRASTRUCTURE),
        (asyncpg.InsufficientPrivilegeError("x"), Fault.INFRASTRUCTURE),
        (asyncpg.InterfaceError("connection is closed"), Fault.INFRASTRUCTURE),
        (asyncpg.InternalClientError("another operation is in progress"), Fault.INFRASTRUCTURE),
        (ConnectionRefusedError(), Fault.INFRASTRUCTURE),
        (TimeoutError(), Fault.INFRASTRUCTURE),
        (KeyError("ours"), None),
    ],
)
def test_whose_fault_an_error_is(error: Exception, fault: Fault | None) -> None:
    assert faults.of(error) is fault


@pytest.mark.parametrize("dealt_with", [KeyError("ours"), Stopping("asked to")])
def test_whose_fault_an_error_is_does_not_depend_on_what_else_was_dealt_with(
    dealt_with: Exception,
) -> None:
    lost = asyncpg.InterfaceError("cannot call Transaction.__aexit__()")
    lost.__context__ = dealt_with
    assert faults.of(lost) is Fault.INFRASTRUCTURE
    dealt_with.__cause__ = asyncpg.UniqueViolationError("x")
    assert faults.of(dealt_with) is None


def test_a_connection_that_is_gone_after_a_long_time_was_given_too_much() -> None:
    gone = asyncpg.InterfaceError("the connection has been released back to the pool")
    assert faults.of(gone, after=14.0) is Fault.INFRASTRUCTURE
    assert faults.of(gone, after=15.0) is Fault.TOO_MUCH
    assert faults.of(asyncpg.DeadlockDetectedError("x"), after=15.0) is Fault.TRANSIENT
    assert faults.of(KeyError("ours"), after=15.0) is None


def test_an_error_that_the_client_takes_for_final_and_that_stays_is_a_defect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("projector.kafka.broker_log.time.monotonic", lambda: now)
    defects: list[Exception] = []
    log = FrameworkLog(Outage("broker"), defects.append)
    refused, away = GroupAuthorizationFailedError("group"), KafkaConnectionError("refused")

    def failing(error: Exception, seconds: int) -> None:
        nonlocal now
        for _ in range(seconds // 5):
            now += 5
            log.log(logging.ERROR, "Kafka error occurred", exc_info=error)

    failing(away, 600)
    failing(refused, 55)
    now += 20  # in which it went well
    failing(refused, 60)
    assert not defects
    failing(refused, 5)
    assert defects == [refused]


def test_only_the_network_is_the_brokers_fault() -> None:
    defects: list[Exception] = []
    outage = Outage("broker")
    log = FrameworkLog(outage, defects.append)
    log.log(logging.INFO, "all is well")
    log.log(logging.ERROR, "Kafka error occurred", exc_info=KafkaConnectionError("refused"))
    assert outage.is_on
    assert not defects
    unreadable = [
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        UnsupportedCodecError("no library for it"),
        CorruptRecordException("wrong checksum"),
    ]
    for error in unreadable:
        log.log(logging.ERROR, "raised an exception", exc_info=error)
    assert defects == unreadable
