"""Key locks: what several workers must agree on is decided by one of them at a time.

A transaction stores its facts, then locks the keys they touch, then looks at what is stored
with a new statement, and so with a new snapshot. Whichever of two workers comes second to a key
sees what the first has stored. Keys share a fixed number of advisory locks, so that a large poll
cannot exhaust the server's lock table; kinds are locked in the order given here and each kind's
locks in ascending order, so that workers never wait for each other in a circle.
"""

import zlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from projector.dependencies import Connection

STRIPES: Final = 128

LOCK: Final = """
    SELECT count(pg_advisory_xact_lock($1, stripe))
    FROM (SELECT stripe FROM unnest($2::int[]) AS stripe ORDER BY stripe) AS ordered
"""


class Kind(IntEnum):
    """What is locked, in the order in which a transaction may lock it."""

    REFERENCE = 0x72756E01
    RUN = 0x72756E02
    INCIDENT = 0x72756E03


async def lock(connection: Connection, kind: Kind, keys: Iterable[str]) -> None:
    """Hold the locks of these keys until the transaction ends."""
    stripes = sorted({zlib.crc32(key.encode()) % STRIPES for key in keys})
    if stripes:
        await connection.execute(LOCK, int(kind), stripes)
