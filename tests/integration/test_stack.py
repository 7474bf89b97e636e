"""The embedded servers themselves: they start, stop, crash and never outlive their owner."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from projector.demo.broker import EmbeddedBroker
from projector.demo.ports import start_on_free_port
from projector.demo.postgres import EmbeddedPostgres
from projector.demo.postgres_binaries import wheel_binaries
from projector.demo.server_process import ServerError, ServerProcess
from tests.stack.topics import Record, create_topic, read, send
from tests.stack.waiting import until

_OWNER = """
import sys
from projector.demo.broker import EmbeddedBroker
from projector.demo.postgres import EmbeddedPostgres
with EmbeddedPostgres(durable=False) as postgres, EmbeddedBroker() as broker:
    for server in (postgres, broker):
        print(server.address.rpartition(":")[2], server.log.parent, flush=True)
    sys.stdin.read()
"""


async def _query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("end", ["stop", "stop immediately", "kill"])
async def test_postgres_keeps_committed_rows_and_its_port(end: str) -> None:
    with EmbeddedPostgres(durable=False) as postgres:
        url = postgres.url
        await _query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        if end == "kill":
            postgres.kill()
        else:
            postgres.stop(immediate=end == "stop immediately")
        assert not postgres.running
        with pytest.raises(ConnectionRefusedError):
            await asyncpg.connect(url)

        await asyncio.to_thread(postgres.start)

        assert postgres.url == url
        assert await _query(url, "SELECT answer FROM kept") == 42


async def test_postgres_is_durable_unless_asked_otherwise(postgres: EmbeddedPostgres) -> None:
    with EmbeddedPostgres() as durable:
        assert await _query(durable.url, "SHOW fsync") == "on"
    assert await _query(postgres.url, "SHOW fsync") == "off"


async def test_postgres_listens_on_loopback_only(postgres: EmbeddedPostgres) -> None:
    assert await _query(postgres.url, "SHOW listen_addresses") == "127.0.0.1"


async def test_postgres_orders_text_by_code_point(postgres: EmbeddedPostgres) -> None:
    ordered = await _query(
        postgres.url, "SELECT string_agg(t, '' ORDER BY t) FROM unnest('{b,Ä,a,B}'::text[]) t"
    )
    assert ordered == "BabÄ"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_root_runs_postgres_from_a_directory_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries, closed = wheel_binaries(), tmp_path / "closed"
    wheel = binaries.parents[1]
    for part in wheel.parent.glob(f"{wheel.name}*"):
        shutil.copytree(part, closed / part.name, symlinks=True)
    closed.chmod(0o700)
    copied = closed / binaries.relative_to(wheel.parent)
    monkeypatch.setattr("projector.demo.postgres.wheel_binaries", lambda: copied)
    with EmbeddedPostgres(durable=False) as postgres:
        assert await _query(postgres.url, "SELECT 1") == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


async def test_each_test_has_a_migrated_database_of_its_own(
    postgres: EmbeddedPostgres, database_url: str
) -> None:
    await _query(database_url, "CREATE TABLE mine ()")
    assert await _query(database_url, "SELECT count(*) FROM runfold.active_generation") == 1
    assert await _query(postgres.url, "SELECT to_regclass('mine')") is None


async def test_a_paused_broker_answers_when_it_is_resumed(topic_prefix: str) -> None:
    with EmbeddedBroker() as broker:
        topic = f"{topic_prefix}paused"
        await create_topic(broker.bootstrap, topic)
        broker.pause()
        sending = asyncio.create_task(send(broker.bootstrap, [Record(topic, b"k", b"v")]))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        broker.resume()
        assert await sending == [0]


async def test_a_restarted_broker_is_empty_on_the_same_port(topic_prefix: str) -> None:
    with EmbeddedBroker() as broker:
        bootstrap = broker.bootstrap
        topic = f"{topic_prefix}gone"
        for end in (broker.stop, broker.kill):
            await create_topic(bootstrap, topic)
            assert await send(bootstrap, [Record(topic, b"k", b"v")]) == [0]
            end()
            await asyncio.to_thread(broker.start)
            assert broker.bootstrap == bootstrap


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
async def test_no_server_outlives_its_owner(how: signal.Signals | None) -> None:
    with _owner() as owner:
        assert owner.stdout is not None
        told = [(await asyncio.to_thread(owner.stdout.readline)).split() for _ in range(2)]
        ports = {int(port) for port, _ in told}
        directories = [Path(directory) for _, directory in told]
        assert all(_is_listening(port) for port in ports)
        assert all(directory.is_dir() for directory in directories)
        if how is None:
            owner.communicate()
        else:
            owner.send_signal(how)
    await until(
        lambda: not any(_is_listening(port) for port in ports), 10, "the servers to be gone"
    )
    await until(
        lambda: not any(directory.exists() for directory in directories),
        10,
        "their directories to be removed",
    )
    await until(lambda: not _running_in(directories), 10, "the last backend to be gone")


def _owner() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _running_in(directories: list[Path]) -> list[str]:
    """Live processes whose working directory or command line names one of the directories."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        where = " ".join([*(process.info["cmdline"] or []), process.info["cwd"] or ""])
        found += [where for directory in directories if str(directory) in where]
    return found


def test_a_server_that_ends_while_starting_is_one_clear_line() -> None:
    process = ServerProcess("the server")
    try:
        process.spawn(["/bin/sh", "-c", "echo first; echo no luck today >&2; exit 3"])
        with pytest.raises(ServerError, match=r"^the server ended while starting: no luck today$"):
            process.wait_until(lambda: False, deadline_s=10)
    finally:
        process.close()
    assert not process.directory.exists()


def test_a_server_that_never_gets_ready_is_one_clear_line() -> None:
    process = ServerProcess("the server")
    try:
        process.spawn(["/bin/sh", "-c", "read forever < /dev/zero"])
        with pytest.raises(
            ServerError, match=r"^the server was not ready within 0.2 s: it wrote nothing$"
        ):
            process.wait_until(lambda: False, deadline_s=0.2)
    finally:
        process.close()


def test_a_taken_port_is_left_for_the_next() -> None:
    taken: list[socket.socket] = []

    def start(port: int) -> None:
        if not taken:
            stranger = socket.create_server(("127.0.0.1", port))
            taken.append(stranger)
            raise ServerError("address in use")

    port = start_on_free_port(start)
    assert port != taken[0].getsockname()[1]
    taken[0].close()


def test_a_failure_that_is_not_the_ports_is_not_repeated() -> None:
    ports: list[int] = []

    def start(port: int) -> None:
        ports.append(port)
        raise ServerError("broken")

    with pytest.raises(ServerError, match="broken"):
        start_on_free_port(start)
    assert len(ports) == 1


async def test_what_was_awaited_is_named_when_it_does_not_come() -> None:
    with pytest.raises(AssertionError, match=r"^waited 0.1 s for rain; last seen: 0$"):
        await until(lambda: 0, 0.1, "rain")


async def test_records_are_read_back_from_the_shared_broker(
    broker: EmbeddedBroker, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}read-back"
    await create_topic(broker.bootstrap, topic)
    await send(broker.bootstrap, [Record(topic, b"k", b"%d" % n) for n in range(100)])
    values = [record.value for record in await read(broker.bootstrap, topic, 0, end=100)]
    assert values == [b"%d" % n for n in range(100)]
