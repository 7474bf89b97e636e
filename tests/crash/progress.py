"""How far the workers have come, as the database tells it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import asyncpg

from projector.writing.batch import Partition
from tests.crash.log import Ends, ends_of
from tests.crash.site import Site
from tests.crash.traffic import Traffic
from tests.stack.waiting import until

SCHEMA = "g_main"

POSITIONS = "SELECT topic, partition, next_offset FROM position"

OWNED = """
    SELECT partition.topic, partition.partition
    FROM runfold.worker, json_to_recordset(partitions) AS partition (topic text, partition int)
    WHERE pid = ANY ($1)
"""

BLOCKED = """
    SELECT pid
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'runfold projector'
        AND wait_event_type = 'Lock'
"""


@asynccontextmanager
async def views(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the views."""
    connection = await asyncpg.connect(
        site.database_url, server_settings={"search_path": SCHEMA, "application_name": "tests"}
    )
    try:
        yield connection
    finally:
        await connection.close()


async def positions(site: Site) -> dict[Partition, int]:
    """The stored positions."""
    async with views(site) as connection:
        rows = await connection.fetch(POSITIONS)
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def owned_by(site: Site, pids: Collection[int]) -> set[Partition]:
    """The partitions that the workers with these process ids last reported as theirs."""
    async with views(site) as connection:
        return {Partition(*row) for row in await connection.fetch(OWNED, list(pids))}


async def advance(site: Site, records: int, deadline_s: float) -> None:
    """Return once so many more records, of any partition, have been dealt with."""
    start = sum((await positions(site)).values())

    async def advanced() -> bool:
        return sum((await positions(site)).values()) >= start + records

    await until(advanced, deadline_s, f"{records} more records to be dealt with")


async def drained(site: Site, traffic: Traffic, deadline_s: float) -> Ends:
    """Return the ends of all partitions once every one is read to its end."""
    ends = dict(await traffic.ends())
    for at, end in (await ends_of(site)).items():
        ends[at] = max(end, ends.get(at, 0))
    unread: dict[Partition, int] = {}

    async def read_to_the_end() -> bool:
        found = await positions(site)
        unread.clear()
        unread.update({at: end for at, end in ends.items() if found.get(at, 0) < end})
        return not unread

    await until(read_to_the_end, deadline_s, "every partition to be read to its end")
    return ends


@asynccontextmanager
async def locked(site: Site, table: str) -> AsyncIterator[None]:
    """While the block runs whoever writes to the table waits."""
    async with views(site) as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield


async def blocked(site: Site) -> None:
    """Return once a worker waits for a lock."""
    async with views(site) as connection:
        await until(lambda: connection.fetch(BLOCKED), 60, "a worker to wait for a lock")
