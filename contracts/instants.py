"""Timestamps in PostgreSQL unchanged, the first and the last instant included.

asyncpg writes the first and the last instant that Python knows as minus and plus infinity. Both
are times that producers send (a clock that was never set, a deadline that never comes), and
neither is infinite: connections prepared here keep them as they are.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL counts microseconds from here."""

MICROSECOND: Final = timedelta(microseconds=1)
FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
FIRST_COUNT: Final = (FIRST - EPOCH) // MICROSECOND
LAST_COUNT: Final = (LAST - EPOCH) // MICROSECOND


Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"


async def prepare(connection: Connection) -> None:
    """Make a connection read and write all instants from year 1 to 9999 as finite ones.

    An infinite timestamp that PostgreSQL holds is read as the first or the last of them.
    """
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_count, decoder=_instant, format="tuple"
    )


def _count(instant: datetime) -> tuple[int]:
    return ((instant - EPOCH) // MICROSECOND,)


def _instant(stored: tuple[int]) -> datetime:
    count = min(max(stored[0], FIRST_COUNT), LAST_COUNT)
    return EPOCH + count * MICROSECOND
