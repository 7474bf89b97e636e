"""A backlog drained by workers, or copied by the floor, and how fast."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import asyncpg
import psutil

from contracts.locks import ACTIVATION
from tests.bench.backlog import Backlog
from tests.command import environment, running
from tests.stack.waiting import until

DEADLINE_S = 600

PROGRESS = """
    SELECT coalesce(sum(next_offset - first_offset), 0)::bigint AS events, max(updated_at) AS at
    FROM g_main.position
    WHERE starts_with(topic, $1)
"""
ASSIGNED = "SELECT count(*) FROM runfold.worker WHERE json_array_length(partitions) > 0"


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog was drained."""

    events_per_second: float
    """From the first commit to the last, so that no start-up is in it."""
    most_bytes: int
    """Resident memory of one worker, at most."""


async def drain(backlog: Backlog, database_url: str, workers: int = 1) -> Drained:
    """Have workers, each a process, bring a backlog into complete views."""
    connection = await asyncpg.connect(database_url)
    variables = backlog.variables(database_url, f"drain-{uuid4().hex}")
    with ExitStack() as stack:
        async with held(connection):
            started = [
                stack.enter_context(running("projector", variables=variables))
                for _ in range(workers)
            ]

            async def joined() -> bool:
                _alive(started)
                return bool(await connection.fetchval(ASSIGNED) == workers)

            await until(joined, 60, f"{workers} workers with partitions")
        first_events, first_at = await _progress(connection, backlog)
        most = 0

        async def drained() -> bool:
            nonlocal first_events, first_at, most
            _alive(started)
            most = max(most, *(psutil.Process(each.pid).memory_info().rss for each in started))
            events, at = await _progress(connection, backlog)
            if first_events == 0 and events:
                first_events, first_at = events, at
            return events >= backlog.events

        await until(drained, DEADLINE_S, f"{backlog.events} events in the views")
        _, last_at = await _progress(connection, backlog)
        for worker in started:
            worker.terminate()
            await asyncio.to_thread(worker.wait, 30)
    await connection.close()
    seconds = (last_at - first_at).total_seconds()
    return Drained((backlog.events - first_events) / seconds, most)


@asynccontextmanager
async def held(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Keep workers from committing while the block runs, so that all begin at once."""
    await connection.execute("SELECT pg_advisory_lock($1)", ACTIVATION)
    yield
    await connection.execute("SELECT pg_advisory_unlock($1)", ACTIVATION)


def copy_raw(backlog: Backlog, database_url: str) -> float:
    """Events per second of the floor."""
    variables = backlog.variables(database_url, f"floor-{uuid4().hex}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.floor", str(backlog.events)],
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return float(done.stdout)


async def _progress(connection: asyncpg.Connection, backlog: Backlog) -> tuple[int, datetime]:
    row = await connection.fetchrow(PROGRESS, backlog.prefix)
    assert row is not None
    return row["events"], row["at"]


def _alive(workers: list[subprocess.Popen[bytes]]) -> None:
    assert all(worker.poll() is None for worker in workers), "a worker has ended"
