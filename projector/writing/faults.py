"""Whose fault an error is: the data's, the moment's, or the infrastructure's."""

from enum import Enum
from typing import Final

import asyncpg

from contracts.health import LOST, cause


class Fault(Enum):
    """What to do about an error while a batch was written."""

    DATA = "data"
    """The data is refused and always will be: isolate the record and park it."""
    TOO_MUCH = "too much"
    """It took longer than a transaction may: write smaller parts."""
    TRANSIENT = "transient"
    """Two transactions were in conflict: retry at once."""
    INFRASTRUCTURE = "infrastructure"
    """The database is away, full, or not as it should be: wait, then retry."""


# Data exceptions, integrity constraint violations, an index row that is too large
DATA_CLASSES: Final = ("22", "23", "54")
ROLLBACK_CLASS: Final = "40"
TIMED_OUT: Final = ("25P03", "25P04", "57014")
"""A transaction that was ended for its length or for our silence within it (we compute too long),
and a statement that was ended for its length."""

SILENCE_S: Final = 15.0
"""How long a transaction may wait for its worker's next statement, in seconds."""


def of(error: Exception, after: float = 0.0) -> Fault | None:
    """Return whose fault `error` is, or None when it is neither PostgreSQL's nor the network's.

    None means a defect of our own, which must stop the worker rather than pass for a bad record.
    `after` is how long the work went well, in seconds: when a transaction is ended for silence,
    the client only says that the connection is gone.
    """
    # the connection ends with the transaction, and the error that is raised is about that
    found = cause(error)
    if isinstance(found, asyncpg.PostgresError):
        state = found.sqlstate or ""
        if state[:2] in DATA_CLASSES:
            return Fault.DATA
        if state in TIMED_OUT:
            return Fault.TOO_MUCH
        if state[:2] == ROLLBACK_CLASS:
            return Fault.TRANSIENT
    elif not isinstance(found, LOST):
        return None
    return Fault.TOO_MUCH if after >= SILENCE_S else Fault.INFRASTRUCTURE


def is_away(error: Exception) -> bool:
    """Return whether to wait and try again: any error of PostgreSQL's or the network's."""
    return of(error) is not None


def said(error: asyncpg.PostgresError) -> str:
    """Return one printable line of what the database says."""
    text = f"{error.sqlstate}: {error}".splitlines()[0]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
