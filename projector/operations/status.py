"""How far the active generation has come, and who works on it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.settings import KafkaSettings
from contracts.times import rfc3339
from contracts.topics import TOPICS, topic_name
from projector.database import active_generation
from projector.kafka.log_reader import log_reader, topic_by_topic
from projector.kafka.topics import BrokerAway, partition_counts

GONE_SECONDS: Final = 30
"""A worker that has not reported for so long is taken to be gone."""

POSITIONS: Final = """
    SELECT topic, partition, next_offset
    FROM position
    -- those below zero stand for files that a rebuild has read
    WHERE partition >= 0
    ORDER BY topic, partition
"""

DEAD_LETTERS: Final = """
    SELECT reason, state, count(*) AS total
    FROM runfold.dead_letter
    WHERE $1 = ANY(generations)
    GROUP BY reason, state
    ORDER BY reason, state
"""

WORKERS: Final = f"""
    SELECT worker_id, host, pid, generation, partitions, last_error, started_at, seen_at,
        seen_at < clock_timestamp() - interval '{GONE_SECONDS} seconds' AS is_gone
    FROM runfold.worker
    ORDER BY worker_id
"""

REBUILDS: Final = """
    SELECT generation, phase, runfold.is_rebuilding(generation) AS is_running, done, total,
        events_per_second, error, started_at, updated_at
    FROM runfold.rebuild
    WHERE phase <> 'ready'
    ORDER BY generation
"""

Ends = Mapping[tuple[str, int], int]
"""End of each partition: the offset the next record will get."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """A partition; `end` and `lag` (events behind) are None when nobody could say."""

    topic: str
    partition: int
    position: int | None
    end: int | None
    lag: int | None


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """How many dead letters there are of one reason and state."""

    reason: str
    state: str
    total: int


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as it last reported itself, times in RFC 3339."""

    worker_id: str
    host: str
    pid: int
    generation: str
    partitions: int
    last_error: str | None
    started_at: str
    seen_at: str
    is_gone: bool


@dataclass(frozen=True, slots=True)
class RebuildStatus:
    """A rebuild that is not done yet; runs are counted while they are derived, else events."""

    generation: str
    phase: str
    is_running: bool
    """Whether somebody is at it; otherwise it can be resumed or dropped."""
    done: int
    total: int
    per_second: float | None
    error: str | None
    started_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the active generation at one instant."""

    generation: str
    partitions: tuple[PartitionStatus, ...]
    dead_letters: tuple[DeadLetterCount, ...]
    workers: tuple[WorkerStatus, ...]
    rebuilds: tuple[RebuildStatus, ...]

    @property
    def lag(self) -> int:
        """Events that are known to be waiting, over all partitions."""
        return sum(partition.lag or 0 for partition in self.partitions)

    def as_json(self) -> str:
        """All of it as one JSON object."""
        return json.dumps({**asdict(self), "lag": self.lag}, ensure_ascii=False, indent=2)


async def status(connection: asyncpg.Connection, ends: Ends) -> Status:
    """Read the status from the database; `ends` are the ends of partitions the broker named.

    An end that a worker has reported counts too: the later one is the better known.
    """
    async with active_generation(connection) as generation:
        workers = await connection.fetch(WORKERS)
        positions = await connection.fetch(POSITIONS)
        dead_letters = await connection.fetch(DEAD_LETTERS, generation)
        rebuilds = await connection.fetch(REBUILDS)
    return Status(
        generation=generation,
        partitions=partition_statuses(
            {(row["topic"], row["partition"]): row["next_offset"] for row in positions},
            _latest(ends, _reported(workers, "end")),
            _reported(workers, "read_to"),
        ),
        dead_letters=tuple(DeadLetterCount(*row) for row in dead_letters),
        workers=tuple(_worker(row) for row in workers),
        rebuilds=tuple(_rebuild(row) for row in rebuilds),
    )


def partition_statuses(
    positions: Mapping[tuple[str, int], int], ends: Ends, read_to: Ends
) -> tuple[PartitionStatus, ...]:
    """Put positions and ends together, in order of topic and partition.

    What was read was there: an end before the position is stale and counts as no lag. Offsets
    before `read_to` that no position is after hold no record, and count as none either.
    """
    statuses = []
    for topic, partition in sorted({*positions, *ends}):
        position, end = positions.get((topic, partition)), ends.get((topic, partition))
        if end is not None and position is not None:
            end = max(end, position)
        read = max(position or 0, read_to.get((topic, partition), 0))
        lag = None if end is None else max(0, end - read)
        statuses.append(PartitionStatus(topic, partition, position, end, lag))
    return tuple(statuses)


async def broker_ends(settings: KafkaSettings) -> dict[tuple[str, int], int]:
    """Ask the broker for the ends of all our partitions.

    Raises `BrokerAway` when it does not answer.
    """
    names = {topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS}
    counts = await partition_counts(settings)
    wanted = [
        TopicPartition(topic, partition)
        for topic in names & counts.keys()
        for partition in range(counts[topic])
    ]
    if not wanted:
        return {}
    try:
        async with log_reader(settings, "runfold status") as consumer:
            ends = await topic_by_topic(consumer.end_offsets, wanted)
    except KafkaError as error:
        raise BrokerAway(settings.kafka_bootstrap) from error
    return {(at.topic, at.partition): end for at, end in ends.items()}


def _latest(*sources: Ends) -> Ends:
    latest: dict[tuple[str, int], int] = {}
    for source in sources:
        for at, end in source.items():
            latest[at] = max(end, latest.get(at, end))
    return latest


def _reported(workers: list[Any], offset: str) -> Ends:
    return _latest(
        *(
            {(one["topic"], one["partition"]): one[offset]}
            for worker in workers
            for one in json.loads(worker["partitions"])
            if one.get(offset) is not None
        )
    )


def _worker(row: Any) -> WorkerStatus:
    return WorkerStatus(
        worker_id=row["worker_id"],
        host=row["host"],
        pid=row["pid"],
        generation=row["generation"],
        partitions=len(json.loads(row["partitions"])),
        last_error=row["last_error"],
        started_at=rfc3339(row["started_at"]),
        seen_at=rfc3339(row["seen_at"]),
        is_gone=row["is_gone"],
    )


def _rebuild(row: Any) -> RebuildStatus:
    return RebuildStatus(
        generation=row["generation"],
        phase=row["phase"],
        is_running=row["is_running"],
        done=row["done"],
        total=row["total"],
        per_second=row["events_per_second"],
        error=row["error"],
        started_at=rfc3339(row["started_at"]),
        updated_at=rfc3339(row["updated_at"]),
    )
