"""Copy the records of topics and files into a new generation: facts only, losers and all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from contracts.read_model import metadata
from contracts.topics import TOPICS, topic_name
from projector import jsonl
from projector.dependencies import Connection
from projector.generations.activation import Target, enter
from projector.generations.plan import Options, Span
from projector.generations.reader import BYTES_AT_ONCE, RECORDS_AT_ONCE, building, reading
from projector.settings import ProjectorSettings
from projector.writing import positions
from projector.writing.applying import slices
from projector.writing.batch import Batch, Partition, Record
from projector.writing.transaction import park


async def load_topics(
    settings: ProjectorSettings, options: Options, share: Mapping[Partition, Span]
) -> None:
    """Copy partitions from their first offsets up to their ends."""
    async with (
        building(settings, options.name, copy, until=options.until) as builder,
        reading(settings, builder, allow_gap=options.allow_gap) as reader,
    ):
        await builder.begin({partition: span.first for partition, span in share.items()})
        await reader.up_to({partition: span.end for partition, span in share.items()})


async def load_files(settings: ProjectorSettings, options: Options) -> None:
    """Copy the files, one after the other. Raises `UsageError` for a wrong line.

    A file stands for a partition of each topic, numbered below zero; a line's number is its
    offset, so that a rebuild that was killed resumes where it was.
    """
    prefix = settings.topic_prefix
    topics = [topic_name(prefix, topic.suffix) for topic in TOPICS]
    async with building(settings, options.name, copy, until=options.until) as builder:
        for number, path in zip(options.file_partitions, options.files, strict=True):
            await builder.begin({Partition(topic, number): 0 for topic in topics})
            lines = _lines(prefix, number, path)
            while records := [*islice(lines, RECORDS_AT_ONCE)]:
                await builder.applier.apply(slices(records, BYTES_AT_ONCE, RECORDS_AT_ONCE))


@dataclass(slots=True)
class Line:
    """A line of a file, as a record of its topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def _lines(prefix: str, number: int, path: Path) -> Iterator[Record]:
    for line in jsonl.read(str(path)):
        topic = topic_name(prefix, line.topic)
        yield Line(topic, number, line.number - 1, line.key, line.value)


async def copy(connection: Connection, batch: Batch, target: Target, slot: int) -> None:
    """Copy a batch in one transaction with its positions; nothing is computed from it yet.

    Stands in for `transaction.write` while a generation is loaded, with the same errors. `slot`
    is not needed: counters are computed when runs are.
    """
    del slot
    async with connection.transaction():
        await enter(connection, target)
        await positions.claim(connection, batch.moves)
        for table, rows in batch.rows.items():
            await _copy(connection, table, rows)
        await park(connection, batch.dead, target.generation)
        await positions.advance(connection, batch.moves)


async def _copy(connection: Connection, table: str, rows: Sequence[Any]) -> None:
    names = metadata.tables[table].columns.keys()
    await connection.copy_records_to_table(table, records=rows, columns=names)
