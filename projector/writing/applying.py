"""Apply polls whatever comes: wait while the database is away, isolate a record that it refuses."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeAlias

import asyncpg
import structlog

from contracts.health import cause
from projector.dependencies import Connection, Dependencies
from projector.generations.activation import ActiveGenerationChanged, Target
from projector.writing import faults, transaction
from projector.writing.batch import Batch, Partition, Record, fold, rejected
from projector.writing.faults import Fault

Write: TypeAlias = Callable[[Connection, Batch, Target, int], Awaitable[None]]
"""Writes a batch in one transaction: `transaction.write`, or a copy while rebuilding."""

WRITTEN_AT_ONCE: Final = 2_000
"""Most records of one transaction: enough to make its cost small, few enough to overlap."""

LONGER: Final = "SET transaction_timeout = '1h'; SET idle_in_transaction_session_timeout = '10min'"
"""For one record, which cannot be divided; a worker put to sleep holds its locks for that long."""
AS_BEFORE: Final = "RESET transaction_timeout; RESET idle_in_transaction_session_timeout"


class Applier:
    """Applies records to one generation and knows how far each partition has come."""

    def __init__(
        self,
        dependencies: Dependencies,
        target: Target,
        prefix: str,
        slot: int,
        observers: Sequence[Callable[[Batch], None]] = (),
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
        self._observers = observers
        """Called with each batch that is durable."""
        self._transaction = write
        self._until = until
        self._log = structlog.get_logger("runfold")

    async def apply(self, parts: Iterable[Sequence[Record]]) -> None:
        """Apply slices in order, a transaction each; while one is written the next is decoded.

        A slice is written only after the one before it is durable; all of them are when this
        returns. A slice that the database refuses is halved until the record at fault stands
        alone, which is then parked as `rejected`. Waits as long as the database is away.

        Raises `PositionConflict` when a partition has moved meanwhile, `ActiveGenerationChanged`,
        `Stopping`, and whatever is neither the data's nor the infrastructure's fault; slices after
        the one that failed are dropped.
        """
        ahead = {**self.positions}
        writing: asyncio.Task[None] | None = None
        try:
            for part in parts:
                batch = Batch()
                for _ in fold(batch, part, ahead, self._prefix, self._until):
                    await asyncio.sleep(0)  # the write under way gets its turn
                ahead |= _ends(batch)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write_or_halve(part, batch))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.wait({writing})

    async def _write_or_halve(self, records: Sequence[Record], batch: Batch) -> None:
        error = await self._write(batch, divisible=len(records) > 1)
        if error is None:
            return
        if len(records) > 1:
            middle = len(records) // 2
            await self.apply([records[:middle], records[middle:]])
            return
        if isinstance(error, asyncpg.PostgresError):
            error = await self._write(
                rejected(batch, records[0], faults.said(error)), divisible=False
            )
        if error is not None:
            raise error  # refused even as a dead letter: not the record's fault

    async def _write(self, batch: Batch, *, divisible: bool) -> BaseException | None:
        """Write one batch; return the error when its data is refused, or takes too long."""
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
                    self._log.warning("one record takes longer than a transaction may: retrying")
                    is_limited = False
                elif fault is not Fault.TRANSIENT:
                    await self._dependencies.wait_for(self._dependencies.database, error)
            else:
                self._dependencies.database.over()
                self.positions |= _ends(batch)
                for observer in self._observers:
                    observer(batch)
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
    """Yield the records in slices of at most `most` and at most `most_bytes` of values.

    A larger record stands alone. So does one that may hold a NUL character: the database must
    judge it even if another event of its entity would have won over it, since what is parked must
    not depend on how a poll was cut.
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
