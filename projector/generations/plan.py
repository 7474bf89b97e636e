"""What a rebuild was asked for, and what it reads, from where to where."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

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
"""How long the broker may take to return where its partitions end."""
POLL_MS: Final = 100
FETCH_MS: Final = 50
"""How long the broker holds a fetch at the end of a log, where there is nothing to return."""

ENDS_BYTES: Final = 1_048_576
"""Bytes of a file's beginning and of its end that its fingerprint covers: histories that are alike
in both do not differ in between."""

FIXED: Final = {"until": "--until", "files": "--from-file"}
"""What cannot be changed once a rebuild was begun, and the options that set it."""


class Options(BaseModel):
    """What a rebuild was asked for."""

    model_config = ConfigDict(frozen=True)

    name: str
    workers: int = 2
    until: datetime | None = None
    """Events after it are left out; such a generation is never activated."""
    files: tuple[Path, ...] = ()
    """Histories to read before the topics; they hold what the topics no longer do."""
    fingerprints: tuple[str, ...] = ()
    """Of each of the files, when the rebuild was begun."""
    allow_gap: bool = False
    activate: bool = True
    verify: bool = False
    """Compare with the active generation first; activate only if nothing else than expected
    differs."""
    expect_changes: tuple[str, ...] = ()
    """Fields that may differ, as `diff` names them: `run.summary.status`, or `run` for all."""

    @property
    def file_partitions(self) -> list[int]:
        """Return the numbers that stand for the files as partitions, all below zero.

        The same file has the same number in every rebuild; a pipe has another one in each.
        """
        known = (found or f"{self.name}: {place}" for place, found in enumerate(self.fingerprints))
        return [-1 - crc32(each.encode()) // 2 for each in known]

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


class Span(NamedTuple):
    """The offsets of one partition that are loaded before the generation is settled."""

    first: int
    end: int


Plan = Mapping[Partition, Span]


async def plan(
    settings: KafkaSettings,
    options: Options,
    reached: Mapping[Partition, int],
    loaded: Mapping[Partition, int],
) -> Plan:
    """Return what every partition of the topics holds.

    What has been `loaded` before may be gone by now; `reached` is where the active generation
    stands. Raises `OperationError` for a topic that is missing or not ours, and without
    `allow_gap` for one that has lost its end, or its beginning when no file has any of it either;
    `BrokerAway`, and `UsageError` for a wrong line in such a file.
    """
    check_topics(settings, reached)
    found = await spans(settings)
    if options.allow_gap:
        return found
    for partition, end in too_short(found, reached):
        # the views of the past are not to catch up
        if options.until is None:
            raise OperationError(
                f"{partition.topic}[{partition.partition}] ends at offset {end}, the active"
                f" generation stands at {reached[partition]}: the topic was made anew or has lost"
                " its end. Restore it, or `runfold rebuild` with --allow-gap, and with --from-file"
                " if a file has what is lost"
            )
    gaps = {p: span for p, span in found.items() if span.first > loaded.get(p, 0)}
    if gaps:
        held = await asyncio.to_thread(_held, settings.topic_prefix, options.files, gaps)
        for partition, span in sorted(gaps.items()):
            if partition.topic not in held:
                raise dropped(partition, loaded.get(partition, 0), span.first)
    return found


def dropped(partition: Partition, needed: int, first: int) -> OperationError:
    """Return the error of a topic that no longer holds its first event."""
    return OperationError(
        f"{partition.topic}[{partition.partition}] begins at offset {first}, what is needed"
        f" at {needed}: the broker has dropped it. `runfold rebuild` with --from-file, if a"
        " file has it, or with --allow-gap to do without"
    )


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
    """Raise `OperationError` unless all these partitions are of topics with our prefix."""
    ours = {topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS}
    for partition in partitions:
        if partition.topic not in ours:
            raise OperationError(
                f"the active generation has read {partition.topic}, which RUNFOLD_TOPIC_PREFIX"
                " does not mean"
            )


async def spans(settings: KafkaSettings) -> dict[Partition, Span]:
    """Return what every partition holds.

    Raises `BrokerAway`, and `OperationError` when a topic does not exist.
    """
    counts = await partition_counts(settings)
    names = [topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS]
    for name in names:
        if name not in counts:
            raise OperationError(
                f"there is no topic {name}: see RUNFOLD_TOPIC_PREFIX, or run `runfold topics`"
            )
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
    """Return where the partitions end by a fetch of each; `end_offsets` alone may be too low."""
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


def fingerprint(path: Path, size: int | None = None) -> str:
    """Return what a file's first `size` bytes are known by, or all of it; "" for a pipe.

    Raises `UsageError` when it cannot be read.
    """
    if not path.is_file():
        return ""
    size = path.stat().st_size if size is None else size
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(min(size, ENDS_BYTES)))
            file.seek(max(0, size - ENDS_BYTES))
            digest.update(file.read(min(size, ENDS_BYTES)))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    return f"{size}:{digest.hexdigest()}"


def check_files(options: Options) -> None:
    """Raise `UsageError` unless all files begin as they did when the rebuild was begun.

    Lines that were counted could be others otherwise; a file may have grown.
    """
    for path, known in zip(options.files, options.fingerprints, strict=False):
        if known and fingerprint(path, int(known.partition(":")[0])) != known:
            raise UsageError(
                f"{path} is not what it was when this rebuild was begun: put that back, or"
                f" `runfold generations drop {options.name}` and begin a new one"
            )
