"""What the processes do that load a generation: hand it the records of topics or of files."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from contracts.topics import topic_name
from projector import jsonl
from projector.errors import PositionConflict
from projector.generations import bulk, record
from projector.generations.pace import Pace
from projector.generations.plan import Span, file_partition, file_partitions
from projector.generations.reader import BYTES_AT_ONCE, RECORDS_AT_ONCE, reading
from projector.generations.standing import Standing, standing
from projector.settings import ProjectorSettings
from projector.writing.applying import slices
from projector.writing.batch import Partition, Record


@dataclass(frozen=True, slots=True)
class Loading:
    """What all loaders of a rebuild have in common."""

    settings: ProjectorSettings
    generation: str
    until: datetime | None
    rate: float | None
    """Most events per second of one loader."""
    allow_gap: bool

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Standing]:
        """Where this loader copies to."""
        async with (
            record.belonging(self.settings.database_url, self.generation),
            standing(
                self.settings,
                self.generation,
                write=bulk.write,
                until=self.until,
                durably=False,
            ) as here,
        ):
            yield here


async def load_topics(loading: Loading, share: Mapping[Partition, Span]) -> None:
    """Copy partitions from their first offsets up to their ends."""
    async with (
        loading.standing() as standing,
        reading(loading.settings, standing, allow_gap=loading.allow_gap) as reader,
    ):
        await standing.begin({partition: span.first for partition, span in share.items()})
        ends = {partition: span.end for partition, span in share.items()}
        await reader.up_to(ends, Pace(loading.rate))


async def load_files(loading: Loading, files: Sequence[Path]) -> None:
    """Copy files, one after the other. Raises `UsageError` for a wrong line."""
    prefix, pace = loading.settings.topic_prefix, Pace(loading.rate)
    async with loading.standing() as standing:
        await standing.begin(file_partitions(prefix, files))
        for index, path in enumerate(files):
            lines = _lines(prefix, index, path)
            while records := [*islice(lines, RECORDS_AT_ONCE)]:
                for part in slices(records, BYTES_AT_ONCE, pace.at_once(RECORDS_AT_ONCE)):
                    await _apply(standing, part)
                    await pace.after(len(part))


async def _apply(standing: Standing, records: Sequence[Record]) -> None:
    try:
        await standing.applier.apply(records)
    except PositionConflict:
        await standing.again({Partition(each.topic, each.partition) for each in records})
        await standing.applier.apply(records)


@dataclass(slots=True)
class Line:
    """A line of a file, as a record of its topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def _lines(prefix: str, index: int, path: Path) -> Iterator[Record]:
    for line in jsonl.read(str(path)):
        partition = file_partition(index, topic_name(prefix, line.topic))
        yield Line(*partition, line.number - 1, line.key, line.value)
