"""Get records applied, whatever comes: wait for the database, isolate what it refuses."""

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Protocol, TypeAlias

import asyncpg
import structlog

from contracts.health import cause
from projector.dependencies import Connection, Dependencies
from projector.generations.activation import ActiveGenerationChanged, Target
from projector.writing import faults, transaction
from projector.writing.batch import Batch, Folding, Partition, Record, Rejections, fold
from projector.writing.faults import Fault

Write: TypeAlias = Callable[[Connection, Batch, Target, int], Awaitable[None]]
"""How a batch is written in one transaction: `writer.write`, or copying while rebuilding."""


WRITTEN_AT_ONCE: Final = 2_000
"""Most records of one transaction: enough to make its cost small, few enough to overlap."""

FOLDED_AT_ONCE: Final = 16
"""Records decoded before a write under way gets its turn: some tenths of a millisecond's worth."""

LONGER: Final = "SET transaction_timeout = '1h'; SET idle_in_transaction_session_timeout = '10min'"
"""For a record that cannot be divided: a worker put to sleep holds what it holds for that long."""
AS_BEFORE: Final = "RESET transaction_timeout; RESET idle_in_transaction_session_timeout"


class Observer(Protocol):
    """Who wants to know what was committed."""

    def committed(self, batch: Batch) -> None:
        """Take note of a batch that is durable now."""


class Observers(tuple[Observer, ...]):
    """Several who want to know."""

    __slots__ = ()

    def committed(self, batch: Batch) -> None:
        """Tell each of a batch that is durable now."""
        for each in self:
            each.committed(batch)


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
        write: Write = transaction.write,
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
        self._log = structlog.get_logger("runfold")

    async def apply_all(self, parts: Iterable[Sequence[Record]]) -> None:
        """Apply slices in order, as `apply` does; while one is written the next is decoded.

        A slice is written only after the one before it is durable; all of them are when this
        returns. Raises what `apply` raises; slices after the one that failed are dropped.
        """
        ahead = {**self.positions}
        writing: asyncio.Task[None] | None = None
        try:
            for part in parts:
                batch = await self._folded(part, ahead)
                ahead |= _ends(batch)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write_or_halve(part, batch, {}))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.wait({writing})

    async def apply(self, records: Sequence[Record], rejections: Rejections | None = None) -> None:
        """Apply records in one transaction, or in several when the database refuses one of them.

        A refused batch is halved until the record at fault stands alone, which is then parked as
        `rejected`; the halves are transactions of their own, in order. Waits as long as the
        database is away. Raises `PositionConflict` when a partition has moved meanwhile,
        `ActiveGenerationChanged`, `Stopping`, and whatever is neither the data's nor the
        infrastructure's fault.
        """
        rejections = rejections or {}
        batch = fold(records, self.positions, self._prefix, rejections, self._until)
        await self._write_or_halve(records, batch, rejections)

    async def _folded(self, records: Sequence[Record], ahead: Mapping[Partition, int]) -> Batch:
        """Fold in steps, between which a write under way goes on."""
        folding = Folding(ahead, self._prefix, {}, self._until)
        for start in range(0, len(records), FOLDED_AT_ONCE):
            folding.add(records[start : start + FOLDED_AT_ONCE])
            await asyncio.sleep(0)
        for _ in folding.settle():
            await asyncio.sleep(0)
        return folding.batch()

    async def _write_or_halve(
        self, records: Sequence[Record], batch: Batch, rejections: Rejections
    ) -> None:
        refused = await self._write(batch, divisible=len(records) > 1)
        if refused is None:
            return
        if len(records) > 1:
            middle = len(records) // 2
            await self.apply(records[:middle], rejections)
            await self.apply(records[middle:], rejections)
            return
        record = records[0]
        place = record.topic, record.partition, record.offset
        if place in rejections or not isinstance(refused, asyncpg.PostgresError):
            raise refused  # refused even as a dead letter: not the record's fault
        await self.apply(records, {place: faults.said(refused)})

    async def _write(self, batch: Batch, *, divisible: bool) -> BaseException | None:
        """Write one batch; return the error when its data is refused, or too much at once."""
        if not batch.moves:
            return None
        is_limited = True
        while True:
            began = time.monotonic()
            try:
                async with (
                    self._dependencies.pool.acquire() as connection,
                    _time_for(connection, is_limited=is_limited),
                ):
                    await self._transaction(connection, batch, self.target, self._slot)
            except ActiveGenerationChanged as change:
                self.target = Target(change.name)
                raise
            except Exception as error:
                fault = faults.of(error, after=time.monotonic() - began)
                if fault is None:
                    raise
                if fault is Fault.DATA or (fault is Fault.TOO_MUCH and divisible):
                    return cause(error)
                if fault is Fault.TOO_MUCH and is_limited:
                    self._log.warning("a record takes longer than a transaction may: it has longer")
                    is_limited = False
                elif fault is not Fault.TRANSIENT:
                    await self._dependencies.wait_for(self._dependencies.database, error)
            else:
                self._dependencies.database.over()
                self.positions |= _ends(batch)
                self._observer.committed(batch)
                return None


@asynccontextmanager
async def _time_for(connection: Connection, *, is_limited: bool) -> AsyncIterator[None]:
    """Let transactions last much longer within the block, unless they are limited."""
    if is_limited:
        yield
        return
    try:
        await connection.execute(LONGER)
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(AS_BEFORE)


def _ends(batch: Batch) -> dict[Partition, int]:
    return {partition: move.next for partition, move in batch.moves.items()}


NUL: Final = b"\\u0000"
"""How JSON spells the one character that PostgreSQL's texts cannot hold."""
_BACKSLASH: Final = ord("\\")


def slices(
    records: Sequence[Record], most_bytes: int, most: int = WRITTEN_AT_ONCE
) -> Iterator[Sequence[Record]]:
    """Yield the records in runs of at most `most` and at most `most_bytes` of values.

    A larger record stands alone.

    One that may hold a NUL character stands alone too, so that the database judges it whether or
    not another event of its entity would have won over it: what is parked must not depend on how
    a poll was cut.
    """
    start = held = 0
    for index, record in enumerate(records):
        value = record.value or b""
        # the backslash alone is found an order of magnitude faster, and most values have none
        size = most_bytes if _BACKSLASH in value and NUL in value else len(value)
        full = index - start == most or held + size > most_bytes
        if index > start and full:
            yield records[start:index]
            start, held = index, 0
        held += size
    if start < len(records):
        yield records[start:]
