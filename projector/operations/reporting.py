"""A worker's sign of life: who it is, what it has, how far the broker's partitions reach."""

import asyncio
import os
import socket
import time
from collections import Counter
from typing import Any, Final

from contracts.health import pause
from projector.dependencies import Dependencies
from projector.kafka.consumer import Consumer
from projector.projections.rows import dumps
from projector.writing import faults
from projector.writing.batch import Batch, Partition

INTERVAL_SECONDS: Final = 2.0

REPORT: Final = """
    INSERT INTO runfold.worker (worker_id, host, pid, generation, partitions, last_error)
    VALUES ($1, $2, $3, (SELECT name FROM runfold.active_generation), $4, $5)
    ON CONFLICT (worker_id) DO UPDATE
    SET generation = excluded.generation,
        partitions = excluded.partitions,
        last_error = excluded.last_error,
        seen_at = clock_timestamp()
"""

FORGET: Final = """
    DELETE FROM runfold.worker
    WHERE worker_id = $1 OR seen_at < clock_timestamp() - interval '1 day'
"""


class Reporter:
    """Keeps this worker's row in `runfold.worker` true."""

    def __init__(self, dependencies: Dependencies, worker_id: str) -> None:
        self._dependencies = dependencies
        self._identity = worker_id, socket.gethostname(), os.getpid()
        self._events: Counter[Partition] = Counter()
        self._since = time.monotonic()

    def committed(self, batch: Batch) -> None:
        """Count what a batch has brought."""
        for partition, move in batch.moves.items():
            self._events[partition] += move.applied

    async def run(self, consumer: Consumer) -> None:
        """Report until the worker stops; while a dependency is away there is nothing to report."""
        needs = self._dependencies
        while not needs.stopping.is_set():
            said = needs.broker.last_error or needs.database.last_error
            await self._attempt(REPORT, *self._identity, dumps(self._partitions(consumer)), said)
            await pause(needs.stopping, INTERVAL_SECONDS)
        await self._attempt(FORGET, self._identity[0])

    async def _attempt(self, statement: str, *arguments: Any) -> None:
        database = self._dependencies.database
        try:
            async with asyncio.timeout(INTERVAL_SECONDS):
                await self._dependencies.pool.execute(statement, *arguments)
        except Exception as error:
            if faults.of(error) is None:
                raise
            database.failed(error)
        else:
            database.over()

    def _partitions(self, consumer: Consumer) -> list[dict[str, Any]]:
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        events, self._events = self._events, Counter()
        kafka, read_to = consumer.kafka, consumer.read_to()
        return [
            {
                "topic": each.topic,
                "partition": each.partition,
                "end": kafka.highwater(each),
                "read_to": read_to.get(Partition(*each)),
                "events_per_second": round(events[Partition(*each)] / seconds, 1),
            }
            for each in sorted(kafka.assignment())
        ]
