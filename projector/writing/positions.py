"""Positions: the next offset of every partition, moved with the rows its events made."""

from collections.abc import Iterable, Mapping
from typing import Final

from projector.dependencies import Connection
from projector.errors import PositionConflict
from projector.writing.batch import Move, Partition
from projector.writing.upsert import columns

READ: Final = """
    SELECT topic, partition, next_offset
    FROM position
    WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[]))
"""

HOLD: Final = f"""
    {READ}
    ORDER BY topic, partition
    FOR UPDATE
"""

ADVANCE: Final = """
    UPDATE position
    SET next_offset = given.next_offset,
        applied = applied + given.more_applied,
        dead = dead + given.more_dead,
        tombstones = tombstones + given.more_tombstones,
        later = later + given.more_later,
        gaps = gaps + given.more_gaps,
        updated_at = clock_timestamp()
    FROM unnest(
        $1::text[], $2::int[], $3::bigint[],
        $4::int[], $5::int[], $6::int[], $7::int[], $8::bigint[]
    ) AS given (
        topic, partition, next_offset,
        more_applied, more_dead, more_tombstones, more_later, more_gaps
    )
    WHERE position.topic = given.topic AND position.partition = given.partition
"""

BEGIN: Final = """
    INSERT INTO position (topic, partition, first_offset, next_offset)
    SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $3::bigint[])
    ON CONFLICT (topic, partition) DO NOTHING
"""

SKIP: Final = """
    UPDATE position
    SET next_offset = $4, gaps = gaps + $4 - $3
    WHERE topic = $1 AND partition = $2 AND next_offset = $3
"""


async def claim(connection: Connection, moves: Mapping[Partition, Move]) -> None:
    """Hold the partitions' positions until the transaction ends, if they are where we started.

    This is the compare of the compare-and-set. It comes first, so that a worker that has lost a
    partition without knowing it writes nothing. Raises `PositionConflict`.
    """
    found = await read(connection, moves, hold=True)
    for partition, move in moves.items():
        if found.get(partition) != move.start:
            raise PositionConflict(*partition, move.start, found.get(partition))


async def advance(connection: Connection, moves: Mapping[Partition, Move]) -> None:
    """Set the positions that `claim` holds: last in the transaction, so that `as_of` is honest."""
    rows = [
        (*partition, move.next, move.applied, move.dead, move.tombstones, move.later, move.gaps)
        for partition, move in sorted(moves.items())
    ]
    await connection.execute(ADVANCE, *columns(rows))


async def begin(connection: Connection, first: Mapping[Partition, int]) -> None:
    """Give a position to partitions that have none: their first offset that the broker holds."""
    await connection.execute(BEGIN, *columns([(*p, offset) for p, offset in sorted(first.items())]))


async def read(
    connection: Connection, partitions: Iterable[Partition], *, hold: bool = False
) -> dict[Partition, int]:
    """Return the stored positions of those partitions that have one; `hold` locks them."""
    rows = await connection.fetch(HOLD if hold else READ, *columns(sorted(partitions)))
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def skip_gap(connection: Connection, partition: Partition, stored: int, first: int) -> None:
    """Move over offsets the broker no longer holds, and count them as a gap."""
    await connection.execute(SKIP, *partition, stored, first)
