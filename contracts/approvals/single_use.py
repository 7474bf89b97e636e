"""Each approval allows one call: the stores that remember which have been used.

A consumer with a database keeps a table whose primary key is `jti`, and answers whether

    INSERT INTO used_approval (jti, remember_until) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING

has inserted a row. It does so in the transaction in which it records that the call is to be made,
and commits before it makes it: whatever crashes, and however many workers are given the token, the
call is made once at most. A row may be deleted after its time.
"""

import threading
from datetime import datetime
from typing import Protocol


class SingleUse(Protocol):
    """Remembers which approvals have been used, for all workers of a consumer."""

    def use(self, jti: str, remember_until: datetime) -> bool:
        """Return True the first time the id is given, False ever after, in one atomic step.

        The id must be remembered until the given time; from then on the token is expired.
        """


class AsyncSingleUse(Protocol):
    """`SingleUse` for asyncio."""

    async def use(self, jti: str, remember_until: datetime) -> bool:
        """Return True the first time the id is given, False ever after, in one atomic step.

        The id must be remembered until the given time; from then on the token is expired.
        """


class MemorySingleUse:
    """Remembers in this process, for as long as it lives: for tests and examples.

    After a restart, and in another worker, every token could be used once more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: set[str] = set()

    def use(self, jti: str, remember_until: datetime) -> bool:
        """Return True the first time the id is given, False ever after."""
        with self._lock:
            is_first = jti not in self._used
            self._used.add(jti)
            return is_first
