"""The history of the topics as a file that `publish` and `rebuild` read: it outlives retention."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from contracts.errors import OperationError
from contracts.settings import KafkaSettings
from projector.generations.plan import Plan, Span, spans
from projector.jsonl import line
from projector.kafka.log_reader import Silence, log_reader
from projector.writing.batch import Partition
from projector.writing.statements import columns

BYTES_AT_ONCE: Final = 8 * 1_048_576
PARTITION_BYTES: Final = 1_048_576
RECORDS_AT_ONCE: Final = 10_000
POLL_MS: Final = 200

STORED: Final = "SELECT topic, partition, next_offset FROM runfold.exported"
STORE: Final = """
    INSERT INTO runfold.exported (topic, partition, next_offset)
    SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""


class NothingExported(OperationError):
    """There is no position to go on from."""

    def __init__(self) -> None:
        super().__init__("nothing was exported before: leave --since-position out the first time")


class RecordsDropped(OperationError):
    """The broker no longer holds what was to be exported."""

    def __init__(self, partition: Partition) -> None:
        super().__init__(
            f"{partition.topic}[{partition.partition}]: the broker no longer has the records that"
            " were to be exported; leave --since-position out to export what there is"
        )


@dataclass(slots=True)
class Exported:
    """What was written, by topic, and what could not be."""

    written: Counter[str] = field(default_factory=Counter)
    """Records, by the topic's full name."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Records that are no event in JSON, for which the file has no form."""
    ends: dict[Partition, int] = field(default_factory=dict)
    """The offset after the last one looked at, of each partition."""


async def spans_to_export(
    settings: KafkaSettings, connection: asyncpg.Connection, *, since_position: bool
) -> Plan:
    """Return what is to be exported: all the topics hold, or what came after the last export.

    Raises `TopicMissing`, `NothingExported`, `RecordsDropped`, `BrokerAway`.
    """
    found = await spans(settings)
    if not since_position:
        return found
    stored = await exported_ends(connection)
    if not stored.keys() & found.keys():
        raise NothingExported
    for partition, span in found.items():
        if not span.first <= stored.get(partition, span.first) <= span.end:
            raise RecordsDropped(partition)
    return {p: Span(stored.get(p, span.first), span.end) for p, span in found.items()}


async def exported_ends(connection: asyncpg.Connection) -> dict[Partition, int]:
    """Return how far each partition was exported the last time."""
    rows = await connection.fetch(STORED)
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def export(settings: KafkaSettings, plan: Plan, file: IO[bytes]) -> Exported:
    """Write the records of the plan, those of each partition in their order.

    Holds a bounded number of bytes at a time. Raises `RecordsDropped` when the broker drops
    records faster than they are read, `OperationError` when it fails.
    """
    exported = Exported(ends={partition: span.end for partition, span in plan.items()})
    left = {TopicPartition(*p): span.end for p, span in plan.items() if span.first < span.end}
    if not left:
        return exported
    fetch = {"fetch_max_bytes": BYTES_AT_ONCE, "max_partition_fetch_bytes": PARTITION_BYTES}
    try:
        async with log_reader(settings, "runfold export", **fetch) as consumer:
            consumer.assign([*left])
            for partition in left:
                consumer.seek(partition, plan[Partition(*partition)].first)
            await _copy(consumer, left, settings.topic_prefix, file, exported)
    except OffsetOutOfRangeError as error:
        raise RecordsDropped(Partition(*min(error.args[0]))) from error
    except KafkaError as error:
        raise OperationError(f"the broker at {settings.kafka_bootstrap} failed: {error}") from error
    return exported


async def _copy(
    consumer: AIOKafkaConsumer,
    left: Mapping[TopicPartition, int],
    prefix: str,
    file: IO[bytes],
    exported: Exported,
) -> None:
    silence = Silence()
    while left := {p: end for p, end in left.items() if await consumer.position(p) < end}:
        polled = await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE)
        silence.polled(found=bool(polled))
        for partition, records in polled.items():
            suffix = partition.topic.removeprefix(prefix)
            for record in records:
                if record.offset >= left[partition]:
                    break
                made = line(suffix, record.key, record.value)
                if made is None:
                    exported.left_out[partition.topic] += 1
                else:
                    file.write(made)
                    exported.written[partition.topic] += 1


async def remember(connection: asyncpg.Connection, exported: Exported) -> None:
    """Store how far this export has come, for the next one since then."""
    await connection.execute(STORE, *columns([(*p, end) for p, end in exported.ends.items()]))
