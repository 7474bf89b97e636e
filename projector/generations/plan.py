"""What is to be rebuilt, from where to where."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import BaseModel, ConfigDict

from contracts.errors import OperationError, UsageError
from contracts.settings import KafkaSettings
from contracts.topics import TOPICS, topic_name
from projector import jsonl
from projector.kafka.log_reader import log_reader, topic_by_topic
from projector.kafka.topics import BrokerAway, partition_counts
from projector.writing.batch import Partition

ANSWER_SECONDS: Final = 30
"""How long the broker may take to say where its partitions end."""
POLL_MS: Final = 100
FETCH_MS: Final = 50
"""How long the broker holds a fetch at the end of a log, where there is nothing to return."""


class Options(BaseModel):
    """What a person asked for."""

    model_config = ConfigDict(frozen=True)

    name: str
    workers: int = 2
    until: datetime | None = None
    """Events after it are left out; such a generation is never activated."""
    files: tuple[Path, ...] = ()
    """Histories to read before the topics; they hold what the topics no longer do."""
    marks: tuple[str, ...] = ()
    """What each of the files was when the rebuild was begun (`projector.rebuild.marks`)."""
    max_rate: float | None = None
    """Most events per second, over all workers."""
    allow_gap: bool = False
    activate: bool = True
    verify: bool = False
    """Compare with the active generation first, and activate only what was expected to differ."""
    expect_changes: tuple[str, ...] = ()
    """Fields that may differ, as `diff` names them: `run.summary.status`, or `run` for all."""

    @classmethod
    def asked_for(cls, name: str, given: Mapping[str, object]) -> "Options":
        """Return the options of a new rebuild. Raises `UsageError`."""
        return cls.model_validate({"name": name, **given})._checked(given)

    def changed(self, given: Mapping[str, object]) -> "Options":
        """Return these options with those given since. Raises `UsageError` for one that is fixed.

        What has been loaded was loaded up to that instant and from those files.
        """
        for name in given:
            if name in FIXED and given[name] != getattr(self, name):
                raise UsageError(
                    f"{FIXED[name]}: this rebuild was begun without it or with another;"
                    " begin a new one, or leave it out"
                )
        return self.model_copy(update=dict(given))._checked(given)

    def _checked(self, given: Mapping[str, object]) -> "Options":
        if self.until is not None and given.get("activate"):
            raise UsageError(
                "--activate: views as of an instant are never activated; leave out --until"
            )
        if self.until is not None and self.verify:
            raise UsageError(
                "--verify: views as of an instant differ from those of now; leave out --until"
            )
        if self.expect_changes and not self.verify:
            raise UsageError("--expect-changes: it says what --verify lets pass; give both")
        return self


FIXED: Final = {"until": "--until", "files": "--from-file"}
"""What a rebuild cannot be told otherwise once it was begun, and the options that say it."""


class Span(NamedTuple):
    """The offsets of one partition that are loaded before the generation is settled."""

    first: int
    end: int


Plan = Mapping[Partition, Span]


class HistoryIncomplete(OperationError):
    """A topic no longer holds its first event."""

    def __init__(self, partition: Partition, needed: int, first: int) -> None:
        super().__init__(
            f"{partition.topic}[{partition.partition}] begins at offset {first}, what is needed"
            f" at {needed}: the broker has dropped it. `runfold rebuild` with --from-file, if a"
            " file has it, or with --allow-gap to do without"
        )


class LogShorter(OperationError):
    """A topic no longer holds what the active generation has read last."""

    def __init__(self, partition: Partition, reached: int, end: int) -> None:
        super().__init__(
            f"{partition.topic}[{partition.partition}] ends at offset {end}, the active generation"
            f" stands at {reached}: the topic was made anew or has lost its end. Restore it, or"
            " `runfold rebuild` with --allow-gap, and with --from-file if a file has what is lost"
        )


class TopicMissing(OperationError):
    """A topic that belongs to the history is not on the broker."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no topic {name}: see RUNFOLD_TOPIC_PREFIX, or run `runfold topics`"
        )


class TopicForeign(OperationError):
    """The active generation was made from other topics."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the active generation has read {name}, which RUNFOLD_TOPIC_PREFIX does not mean"
        )


async def plan(
    settings: KafkaSettings,
    options: Options,
    reached: Mapping[Partition, int],
    loaded: Mapping[Partition, int],
    exported: Mapping[Partition, int],
) -> Plan:
    """Return what every partition of the topics holds.

    What has been `loaded` before need not be there any more; `reached` is where the active
    generation stands, and `exported` how far files were written here. Raises `TopicMissing`,
    `TopicForeign`, `LogShorter` where the end is missing without `allow_gap`, `HistoryIncomplete`
    where the beginning is and no file has any of it either, or none as far as the topic goes back,
    `BrokerAway`, and `UsageError` for a wrong line in such a file.
    """
    check_topics(settings, reached)
    found = await spans(settings)
    if options.allow_gap:
        return found
    for partition, end in too_short(found, reached):
        # the views of the past are not to catch up
        if options.until is None:
            raise LogShorter(partition, reached[partition], end)
    gaps = {p: span for p, span in found.items() if span.first > loaded.get(p, 0)}
    if gaps:
        held = await asyncio.to_thread(_held, settings.topic_prefix, options.files, gaps)
        for partition, span in sorted(gaps.items()):
            if partition.topic not in held:
                raise HistoryIncomplete(partition, loaded.get(partition, 0), span.first)
            if (end := exported.get(partition, span.first)) < span.first:
                raise HistoryIncomplete(partition, end, span.first)
    return found


def too_short(found: Plan, reached: Mapping[Partition, int]) -> Iterator[tuple[Partition, int]]:
    """Yield the partitions that end before what has been read of them, and where they do."""
    for partition, position in sorted(reached.items()):
        end = found[partition].end if partition in found else 0
        if end < position:
            yield partition, end


def _held(prefix: str, files: Iterable[Path], gaps: Iterable[Partition]) -> set[str]:
    """Return of which of these topics the files hold anything; read no further than it takes."""
    held: set[str] = set()
    missing = {partition.topic for partition in gaps}
    for path in files:
        for line in jsonl.read(str(path)):
            held.add(topic_name(prefix, line.topic))
            if missing <= held:
                return held
    return held


def check_topics(settings: KafkaSettings, partitions: Iterable[Partition]) -> None:
    """Raise `TopicForeign` unless all these partitions are of topics with our prefix."""
    ours = {topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS}
    for partition in partitions:
        if partition.topic not in ours:
            raise TopicForeign(partition.topic)


async def spans(settings: KafkaSettings) -> dict[Partition, Span]:
    """Return what every partition holds. Raises `TopicMissing` and `BrokerAway`."""
    counts = await partition_counts(settings)
    names = [topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS]
    for name in names:
        if name not in counts:
            raise TopicMissing(name)
    wanted = [TopicPartition(name, n) for name in names for n in range(counts[name])]
    try:
        async with log_reader(settings, "runfold rebuild", fetch_max_wait_ms=FETCH_MS) as consumer:
            first = await topic_by_topic(consumer.beginning_offsets, wanted)
            end = await _ends(consumer, wanted)
    except (KafkaError, TimeoutError) as error:
        raise BrokerAway(settings.kafka_bootstrap) from error
    return {Partition(*each): Span(first[each], max(first[each], end[each])) for each in wanted}


async def _ends(
    consumer: AIOKafkaConsumer, wanted: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return where the partitions end, as a fetch says: what is told without one may be too low."""
    told = await consumer.end_offsets(wanted)
    consumer.assign(wanted)
    for partition, offset in told.items():
        consumer.seek(partition, offset)
    async with asyncio.timeout(ANSWER_SECONDS):
        while any(consumer.highwater(partition) is None for partition in wanted):
            await consumer.getmany(timeout_ms=POLL_MS, max_records=1)
    # a transaction that is still open ends a log that is read committed
    return {partition: consumer.last_stable_offset(partition) for partition in wanted}


def shares(plan: Plan, workers: int) -> list[dict[Partition, Span]]:
    """Return the plan cut into at most `workers` parts of about the same number of events."""
    parts: list[dict[Partition, Span]] = [{} for _ in range(workers)]
    sizes = [0] * workers
    by_size = sorted(plan.items(), key=lambda item: (item[1].first - item[1].end, item[0]))
    for partition, span in by_size:
        least = sizes.index(min(sizes))
        parts[least][partition] = span
        sizes[least] += span.end - span.first
    return [part for part in parts if part]


def file_partition(index: int, topic: str) -> Partition:
    """Return where the lines of a topic in the file at `index` count as having been read.

    A file stands for a partition of each topic, numbered below zero; a line's number is its
    offset, so that a rebuild that was killed goes on where it was.
    """
    return Partition(topic, -1 - index)


def file_partitions(prefix: str, files: Sequence[Path]) -> dict[Partition, int]:
    """Return the partitions that stand for these files, each from its beginning."""
    return {
        file_partition(index, topic_name(prefix, topic.suffix)): 0
        for index in range(len(files))
        for topic in TOPICS
    }
