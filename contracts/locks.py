"""Advisory locks that every writer of the database takes, so that decisions and views agree.

*Activation*: a transaction that relies on which generation is active holds this lock, shared with
all others like it; a transaction that changes the active generation holds it alone.

*Key locks*: what several transactions must agree on is decided by one of them at a time. A
transaction stores its facts, then locks the keys they affect, then reads what is stored with a
new statement, and so with a new snapshot. Of two transactions, the second one to lock a key sees
what the first has stored. Keys share a fixed number of locks, so that a large poll cannot exhaust
the server's lock table. Kinds are locked in the order given here and each kind's locks in
ascending order, so that transactions never wait for each other in a circle. Each generation has
its own locks for references, runs and incidents, by the first schema of the transaction's search
path: a writer of the active generation never waits for one that is being built.
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
    """What triggers a run."""
    RUN = 0x72756E02
    """A run: its row in the view, and the decision on it."""
    INCIDENT = 0x72756E03
    """The evidence on an incident, and the runs that mention it."""


class Connection(Protocol):
    """A connection to PostgreSQL in a transaction, as far as it is needed here."""

    async def execute(self, query: str, *args: Any) -> Any:
        """Execute a statement."""


async def lock(connection: Connection, kind: Kind, keys: Iterable[str]) -> None:
    """Hold the locks of these keys until the transaction ends."""
    stripes = sorted({zlib.crc32(key.encode()) % STRIPES for key in keys})
    if stripes:
        await connection.execute(LOCK, int(kind), stripes, kind is not Kind.REQUEST)
