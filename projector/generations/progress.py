"""How far a rebuild is: read from the new generation, stored for `status`, shown to a watcher."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from contracts.health import pause
from projector.generations.schema import schema_of

LOOK_SECONDS: Final = 1.0

EVENTS: Final = """
    SELECT topic, coalesce(sum(next_offset - first_offset), 0)::bigint AS done, total
    FROM unnest($1::text[], $2::bigint[]) AS planned (topic, total)
    LEFT JOIN (SELECT * FROM {schema}.position WHERE partition >= 0) AS position USING (topic)
    GROUP BY topic, total
    ORDER BY topic
"""
"""Of topics, and how many events of each are to be loaded."""
LINES: Final = """
    SELECT file.topic, max(next_offset) AS done, 0 AS total
    FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS file (topic, partition, place)
    JOIN {schema}.position USING (partition)
    GROUP BY file.topic, partition, place
    ORDER BY place
"""
"""Of files by name; how many there are is unknown."""
RUNS: Final = """
    SELECT NULL AS topic, (SELECT count(*) FROM {schema}.run) AS done,
        (SELECT count(*) FROM {schema}.run_fact) AS total
"""

STORE: Final = """
    UPDATE runfold.rebuild
    SET phase = $2, done = $3, total = $4, events_per_second = $5, topics = $6, error = NULL,
        updated_at = clock_timestamp()
    WHERE generation = $1
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """A rebuild at one instant; events, lines of files, or runs while they are derived."""

    phase: str
    done: int = 0
    total: int = 0
    """0 where it is unknown, or nothing is counted."""
    per_second: float = 0.0
    """Since this process has been at this phase."""

    @property
    def unit(self) -> str:
        """What is counted."""
        return {"derive": "runs", "load files": "lines"}.get(self.phase, "events")

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None while there is none."""
        if not self.per_second or not self.total:
            return None
        return max(0, self.total - self.done) / self.per_second


Watcher = Callable[[Progress], None]


class Tracker:
    """Looks at how far a rebuild is, again and again, on a connection of its own."""

    def __init__(self, connection: asyncpg.Connection, name: str, watcher: Watcher) -> None:
        self._connection = connection
        self._name = name
        self._watcher = watcher

    async def enter(self, phase: str) -> None:
        """Store that all phases before this one are done."""
        await self._show(Progress(phase), ())

    @asynccontextmanager
    async def counting(self, phase: str, statement: str, *arguments: object) -> AsyncIterator[None]:
        """Show what the statement counts while the block runs, and once more when it is done."""
        began, at_first, ended = time.monotonic(), None, asyncio.Event()

        async def look() -> None:
            nonlocal at_first
            found = statement.format(schema=schema_of(self._name))
            rows = await self._connection.fetch(found, *arguments)
            done, total = (sum(row[column] for row in rows) for column in ("done", "total"))
            at_first = done if at_first is None else at_first
            seconds = time.monotonic() - began
            rate = (done - at_first) / seconds if seconds else 0.0
            await self._show(Progress(phase, done, total, rate), rows)

        async def watch() -> None:
            while not ended.is_set():
                await pause(ended, LOOK_SECONDS)
                await look()

        await look()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(watch())
                yield
                ended.set()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _show(self, progress: Progress, rows: Sequence[Any]) -> None:
        topics = [
            {"topic": row["topic"], "done": row["done"], "total": row["total"]}
            for row in rows
            if row["topic"] is not None
        ]
        await self._connection.execute(
            STORE,
            self._name,
            progress.phase,
            progress.done,
            progress.total,
            progress.per_second,
            json.dumps(topics),
        )
        self._watcher(progress)
