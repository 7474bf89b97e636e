"""Copy a batch's facts as they are: losers stay until the generation is settled."""

from collections.abc import Sequence
from typing import Any

from contracts.read_model import metadata
from projector.dependencies import Connection
from projector.generations.activation import Target, enter
from projector.writing import positions
from projector.writing.batch import Batch
from projector.writing.transaction import park


async def write(connection: Connection, batch: Batch, target: Target, slot: int) -> None:
    """Copy a batch in one transaction with its positions; nothing is computed from it yet.

    Stands in for `writer.write` while a generation is loaded, with the same errors. `slot` is
    not needed: counters are computed when the generation is derived.
    """
    del slot
    async with connection.transaction():
        await enter(connection, target)
        await positions.claim(connection, batch.moves)
        for table, rows in batch.rows.items():
            await _copy(connection, table, rows)
        if batch.states:
            await _copy(connection, "run_state", batch.states)
        await park(connection, batch.dead)
        await positions.advance(connection, batch.moves)


async def _copy(connection: Connection, table: str, rows: Sequence[Any]) -> None:
    names = metadata.tables[table].columns.keys()
    await connection.copy_records_to_table(table, records=rows, columns=names)
