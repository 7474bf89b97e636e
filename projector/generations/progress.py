"""How far a rebuild is: read from the new generation, kept for `status`, told to who watches."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from projector.generations.beside import beside
from projector.generations.plan import Span
from projector.generations.schema import schema_of
from projector.writing.batch import Partition

LOOK_SECONDS: Final = 1.0

POSITIONS: Final = """
    SELECT topic, sum(next_offset - first_offset)::bigint AS done
    FROM {schema}.position
    WHERE partition >= 0
    GROUP BY topic
"""
LINES: Final = """
    SELECT -partition AS file, max(next_offset) AS done
    FROM {schema}.position
    WHERE partition < 0
    GROUP BY partition
"""
DERIVED: Final = """
    SELECT (SELECT count(*) FROM {schema}.run), (SELECT count(*) FROM {schema}.run_fact)
"""

KEEP: Final = """
    UPDATE runfold.rebuild
    SET phase = $2, done = $3, total = $4, events_per_second = $5, topics = $6,
        updated_at = clock_timestamp()
    WHERE generation = $1
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """A rebuild at one instant; events, or runs while they are derived."""

    phase: str
    done: int
    total: int
    per_second: float
    """Since this process has been at this phase."""
    topics: Mapping[str, tuple[int, int]]
    """Events done and to do, by topic."""

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

Look = Callable[[], Awaitable[tuple[int, int, dict[str, tuple[int, int]]]]]
"""What is done, what is to do, and both by topic."""


class Tracker:
    """Looks at how far a rebuild is, again and again, on a connection of its own."""

    def __init__(self, connection: asyncpg.Connection, name: str, watcher: Watcher) -> None:
        self._connection = connection
        self._name = name
        self._watcher = watcher

    @asynccontextmanager
    async def loading(self, plan: Mapping[Partition, Span]) -> AsyncIterator[None]:
        """Tell of the events that are loaded while the block runs."""
        totals: dict[str, int] = {}
        for partition, span in plan.items():
            totals[partition.topic] = totals.get(partition.topic, 0) + span.end - span.first

        async def look() -> tuple[int, int, dict[str, tuple[int, int]]]:
            rows = await self._connection.fetch(POSITIONS.format(schema=schema_of(self._name)))
            done = {row["topic"]: row["done"] for row in rows}
            topics = {topic: (done.get(topic, 0), total) for topic, total in totals.items()}
            return sum(done.values()), sum(totals.values()), topics

        async with self._looking("load", look):
            yield

    @asynccontextmanager
    async def loading_files(self, files: Sequence[Path]) -> AsyncIterator[None]:
        """Tell of the lines that are loaded while the block runs; how many there are is unknown."""

        async def look() -> tuple[int, int, dict[str, tuple[int, int]]]:
            rows = await self._connection.fetch(LINES.format(schema=schema_of(self._name)))
            done = {files[row["file"] - 1].name: (row["done"], 0) for row in rows}
            return sum(lines for lines, _ in done.values()), 0, done

        async with self._looking("load files", look):
            yield

    @asynccontextmanager
    async def deriving(self) -> AsyncIterator[None]:
        """Tell of the runs that are computed while the block runs."""

        async def look() -> tuple[int, int, dict[str, tuple[int, int]]]:
            ((done, total),) = await self._connection.fetch(
                DERIVED.format(schema=schema_of(self._name))
            )
            return done, total, {}

        async with self._looking("derive", look):
            yield

    async def tell(self, phase: str) -> None:
        """Tell of a phase that has no numbers."""
        progress = Progress(phase, 0, 0, 0.0, {})
        await self._keep(progress)
        self._watcher(progress)

    @asynccontextmanager
    async def _looking(self, phase: str, look: Look) -> AsyncIterator[None]:
        ended = asyncio.Event()
        async with beside(self._watch(phase, look, ended)):
            yield
            ended.set()

    async def _watch(self, phase: str, look: Look, ended: asyncio.Event) -> None:
        began, at_first = time.monotonic(), None
        while True:
            last = ended.is_set()
            done, total, topics = await look()
            at_first = done if at_first is None else at_first
            seconds = time.monotonic() - began
            rate = (done - at_first) / seconds if seconds else 0.0
            progress = Progress(phase, done, total, rate, topics)
            await self._keep(progress)
            self._watcher(progress)
            if last:
                return
            try:
                await asyncio.wait_for(ended.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    async def _keep(self, progress: Progress) -> None:
        topics = json.dumps(
            [
                {"topic": topic, "done": done, "total": total}
                for topic, (done, total) in sorted(progress.topics.items())
            ]
        )
        await self._connection.execute(
            KEEP,
            self._name,
            progress.phase,
            progress.done,
            progress.total,
            progress.per_second,
            topics,
        )
