"""How far the active generation has come, and who works on it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.read_model import WORKER_GONE_SECONDS
from contracts.settings import KafkaSettings
from contracts.topics import TOPICS, topic_name
from projector.database import active_generation
from projector.kafka.log_reader import log_reader, topic_by_topic
from projector.kafka.topics import BrokerAway, partition_counts

PARTITIONS: Final = 'SELECT topic, partition, position, "end", lag FROM progress($1)'

DEAD_LETTERS: Final = """
    SELECT reason, state, count(*) AS total
    FROM runfold.dead_letter
    WHERE $1 = ANY(generations)
    GROUP BY reason, state
    ORDER BY reason, state
"""

WORKERS: Final = f"""
    SELECT worker_id, host, pid, generation, json_array_length(partitions) AS partitions,
        last_error, runfold.rfc3339(started_at) AS started_at, runfold.rfc3339(seen_at) AS seen_at,
        seen_at < clock_timestamp() - interval '{WORKER_GONE_SECONDS} s' AS is_gone
    FROM runfold.worker
    ORDER BY worker_id
"""

REBUILDS: Final = """
    SELECT generation, phase, runfold.is_rebuilding(generation) AS is_running, done, total,
        events_per_second AS per_second, error, runfold.rfc3339(started_at) AS started_at,
        runfold.rfc3339(updated_at) AS updated_at
    FROM runfold.rebuild
    WHERE phase <> 'ready'
    ORDER BY generation
"""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the active generation at one instant; times are in RFC 3339."""

    generation: str
    lag: int
    """Events that are known to be waiting, over all partitions."""
    partitions: list[Row]
    """`end` and `lag` are None where nobody knows them."""
    dead_letters: list[Row]
    """How many there are, by reason and state."""
    workers: list[Row]
    """As they last reported themselves."""
    rebuilds: list[Row]
    """Those not done yet, in runs while they are derived, else in events; one that is not running
    can be resumed or dropped."""

    def as_json(self) -> str:
        """All of it as one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)


async def status(connection: asyncpg.Connection, ends: Mapping[tuple[str, int], int]) -> Status:
    """Read the status from the database; `ends` are the ends of partitions the broker named."""
    named = [
        {"topic": topic, "partition": number, "end": end} for (topic, number), end in ends.items()
    ]
    async with active_generation(connection) as generation:
        partitions = [dict(row) for row in await connection.fetch(PARTITIONS, json.dumps(named))]
        return Status(
            generation=generation,
            lag=sum(row["lag"] or 0 for row in partitions),
            partitions=partitions,
            dead_letters=[dict(row) for row in await connection.fetch(DEAD_LETTERS, generation)],
            workers=[dict(row) for row in await connection.fetch(WORKERS)],
            rebuilds=[dict(row) for row in await connection.fetch(REBUILDS)],
        )


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
