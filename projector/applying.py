"""Get records applied, whatever comes: wait for the database, isolate what it refuses."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeAlias

import asyncpg

from projector import faults, writer
from projector.activation import ActiveGenerationChanged, Target
from projector.batch import Batch, Partition, Record, Rejections, fold
from projector.dependencies import Connection, Dependencies
from projector.faults import Fault

Write: TypeAlias = Callable[[Connection, Batch, Target, int], Awaitable[None]]
"""How a batch is written in one transaction: `writer.write`, or copying while rebuilding."""


class Observer(Protocol):
    """Who wants to know what was committed."""

    def committed(self, batch: Batch) -> None:
        """Take note of a batch that is durable now."""


class Applier:
    """Applies records to one generation and knows how far each partition has come."""

    def __init__(
        self,
        dependencies: Dependencies,
        target: Target,
        prefix: str,
        slot: int,
        observer: Observer,
        *,
        write: Write = writer.write,
        until: datetime | None = None,
    ) -> None:
        self.positions: dict[Partition, int] = {}
        """Next offset of each partition this worker has, as last read or written."""
        self.target = target
        """The generation that is written; another one once another is active."""
        self._dependencies = dependencies
        self._prefix = prefix
        self._slot = slot
        self._observer = observer
        self._transaction = write
        self._until = until

    async def apply(self, records: Sequence[Record], rejections: Rejections | None = None) -> None:
        """Apply records in one transaction, or in several when the database refuses one of them.

        A refused batch is halved until the record at fault stands alone, which is then parked as
        `rejected`; the halves are transactions of their own, in order. Waits as long as the
        database is away. Raises `PositionConflict` when a partition has moved meanwhile,
        `ActiveGenerationChanged`, `Stopping`, and whatever is neither the data's nor the
        infrastructure's fault.
        """
        rejections = rejections or {}
        refused = await self._write(records, rejections)
        if refused is None:
            return
        if len(records) > 1:
            middle = len(records) // 2
            await self.apply(records[:middle], rejections)
            await self.apply(records[middle:], rejections)
            return
        record = records[0]
        place = record.topic, record.partition, record.offset
        if place in rejections:
            raise refused  # refused even as a dead letter: not the record's fault
        await self.apply(records, {place: faults.said(refused)})

    async def _write(
        self, records: Sequence[Record], rejections: Rejections
    ) -> asyncpg.PostgresError | None:
        """Write one batch; return the error when its data is refused."""
        batch = fold(records, self.positions, self._prefix, rejections, self._until)
        if not batch.moves:
            return None
        while True:
            try:
                async with self._dependencies.pool.acquire() as connection:
                    await self._transaction(connection, batch, self.target, self._slot)
            except ActiveGenerationChanged as change:
                self.target = Target(change.name)
                raise
            except Exception as error:
                fault = faults.of(error)
                if fault is None:
                    raise
                if fault is Fault.DATA and isinstance(error, asyncpg.PostgresError):
                    return error
                if fault is Fault.INFRASTRUCTURE:
                    await self._dependencies.wait_for(self._dependencies.database, error)
            else:
                self._dependencies.database.over()
                self.positions |= {p: move.next for p, move in batch.moves.items()}
                self._observer.committed(batch)
                return None


NUL: Final = b"\\u0000"
"""How JSON spells the one character that PostgreSQL's texts cannot hold."""


def slices(records: Sequence[Record], most_bytes: int) -> Iterator[Sequence[Record]]:
    """Yield the records in runs of at most `most_bytes` of values, a larger one alone.

    One that may hold a NUL character stands alone too, so that the database judges it whether or
    not another event of its entity would have won over it: what is parked must not depend on how
    a poll was cut.
    """
    start = held = 0
    for index, record in enumerate(records):
        value = record.value or b""
        size = len(value) if NUL not in value else most_bytes
        if index > start and held + size > most_bytes:
            yield records[start:index]
            start, held = index, 0
        held += size
    if start < len(records):
        yield records[start:]
