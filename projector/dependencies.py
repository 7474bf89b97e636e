"""What a worker depends on: the database, the broker, and being allowed to go on."""

import asyncio
from dataclasses import dataclass, field
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from contracts.health import Outage, Stopping

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""A connection to PostgreSQL, a pool's or one's own."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """One worker's, shared by its parts."""

    pool: asyncpg.Pool
    """Connections as the writer role, with the generation's schema before all others."""
    stopping: asyncio.Event
    """Set when the worker shall end."""
    database: Outage = field(default_factory=lambda: Outage("database"))
    broker: Outage = field(default_factory=lambda: Outage("broker"))

    async def wait_for(self, away: Outage, error: Exception) -> None:
        """Note that a dependency is away and wait before the next attempt. Raises `Stopping`."""
        away.failed(error)
        await away.wait(self.stopping)
        if self.stopping.is_set():
            raise Stopping from error
