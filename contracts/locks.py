"""Locks that whoever writes to the database takes, so that decisions and views agree.

*Activation*: a transaction that relies on which generation is active holds this lock, shared with
all others like it; who changes the active generation takes it alone.

*Key locks*: what several transactions must agree on is decided by one of them at a time. A
transaction stores its facts, then locks the keys they touch, then looks at what is stored with a
new statement, and so with a new snapshot. Whichever of two comes second to a key sees what the
first has stored. Keys share a fixed number of advisory locks, so that a large poll cannot exhaust
the server's lock table; kinds are locked in the order given here and each kind's locks in
ascending order, so that transactions never wait for each other in a circle. What belongs to a
generation (references, runs, incidents) has locks of its own in each, by the schema that stands
first on the transaction's search path: who works on the active one never waits for another one
being made.
"""

import zlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final, Protocol

ACTIVATION: Final = 7_046_133_002
"""The advisory lock of the active generation."""

STRIPES: Final = 128

LOCK: Final = f"""
    SELECT count(pg_advisory_xact_lock($1, first + stripe))
    FROM (
        SELECT CASE WHEN $3 THEN hashtext(current_schema()) / {STRIPES} * {STRIPES} ELSE 0 END
            AS first
    ) AS generation,
        (SELECT stripe FROM unnest($2::int[]) AS stripe ORDER BY stripe) AS ordered
"""


class Kind(IntEnum):
    """What is locked, in the order in which a transaction may lock it."""

    REQUEST = 0x72756E00
    """A client's request, by its idempotency key."""
    REFERENCE = 0x72756E01
    """What sets off a run."""
    RUN = 0x72756E02
    """A run: its row in the view, and the decision on it."""
    INCIDENT = 0x72756E03
    """What bears on an incident."""


class Connection(Protocol):
    """What is needed of a connection to PostgreSQL that is in a transaction."""

    async def execute(self, query: str, *args: Any) -> Any:
        """Execute a statement."""


async def lock(connection: Connection, kind: Kind, keys: Iterable[str]) -> None:
    """Hold the locks of these keys until the transaction ends."""
    stripes = sorted({zlib.crc32(key.encode()) % STRIPES for key in keys})
    if stripes:
        await connection.execute(LOCK, int(kind), stripes, kind is not Kind.REQUEST)
