"""The history of the topics as a file that `publish` and `rebuild` read: it outlives retention."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from contracts.errors import OperationError
from contracts.settings import KafkaSettings
from projector.generations.plan import spans
from projector.jsonl import line
from projector.kafka.log_reader import Silence, log_reader

BYTES_AT_ONCE: Final = 8 * 1_048_576
PARTITION_BYTES: Final = 1_048_576
RECORDS_AT_ONCE: Final = 10_000
POLL_MS: Final = 200


@dataclass(slots=True)
class Exported:
    """How many records were written and left out, by the topic's full name."""

    written: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Records that are no event in JSON, for which the file has no form."""


async def export(settings: KafkaSettings, file: IO[bytes]) -> Exported:
    """Write all records that the topics hold now, those of each partition in their order.

    Holds a bounded number of bytes at a time. Raises `OperationError` when a topic is missing, or
    when the broker is away or drops records faster than they are read.
    """
    exported = Exported()
    plan = {TopicPartition(*p): span for p, span in (await spans(settings)).items()}
    left = {partition: span.end for partition, span in plan.items() if span.first < span.end}
    if not left:
        return exported
    fetch = {"fetch_max_bytes": BYTES_AT_ONCE, "max_partition_fetch_bytes": PARTITION_BYTES}
    try:
        async with log_reader(settings, "runfold export", **fetch) as consumer:
            consumer.assign([*left])
            for partition in left:
                consumer.seek(partition, plan[partition].first)
            await _copy(consumer, left, settings.topic_prefix, file, exported)
    except OffsetOutOfRangeError as error:
        topic, number = min(error.args[0])
        raise OperationError(
            f"{topic}[{number}]: the broker has dropped records before they were exported:"
            " raise the topic's retention, or export what is left"
        ) from error
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
