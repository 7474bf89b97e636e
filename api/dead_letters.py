"""Operators' requests about dead letters: stored here, carried out by a worker, waited for.

Only a worker may write views, so the API stores the request and waits for its outcome. Where no
worker runs, the request stays and is carried out by the first that does.
"""

import asyncio
import time
from typing import Final, Literal

from api.auth import Bearer
from api.database import Acquired, Pool, reachable
from api.problems import Problem, not_found
from api.reading import enter
from contracts.health import Outage

WAIT_S: Final = 5.0
"""How long a worker is waited for."""
FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.2

TAKE: Final = """
    -- dead letter: its state, locked
    SELECT state, requested FROM runfold.dead_letter WHERE id = $1::bigint FOR UPDATE
"""

ASK: Final = """
    -- dead letter: what is to be done with it
    UPDATE runfold.dead_letter SET requested = $2, requested_by = $3 WHERE id = $1::bigint
"""

OUTCOME: Final = """
    -- dead letter: the outcome of a request
    SELECT state, requested, reason, message FROM runfold.dead_letter WHERE id = $1::bigint
"""

Action = Literal["retry", "discard"]
STATES: Final[dict[Action, str]] = {"retry": "retried", "discard": "discarded"}


class DeadLetters:
    """Where operators' requests go."""

    def __init__(self, pool: Pool, database: Outage) -> None:
        self._pool, self._database = pool, database

    async def carried_out(self, bearer: Bearer, number: int, action: Action) -> bool:
        """Ask a worker to act; return whether it has, or False when none did in time.

        Raises `Problem`: 404, 409 `not_parked`, 422 `still_bad`, and what `Acquired` and
        `reachable` raise.
        """
        await self._ask(bearer, number, action)
        deadline = time.monotonic() + WAIT_S
        pause = FIRST_PAUSE_S
        while time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            if await self._is_done(bearer, number, action):
                return True
        return False

    async def _ask(self, bearer: Bearer, number: int, action: Action) -> None:
        with reachable(self._database):
            async with Acquired(self._pool) as connection, connection.transaction():
                await enter(connection, bearer)
                row = await connection.fetchrow(TAKE, number)
                if row is None:
                    raise not_found("dead_letter")
                if row["state"] != "parked":
                    raise _not_parked(f"the dead letter is {row['state']} already")
                if row["requested"] is not None:
                    raise _not_parked(f"a {row['requested']} of it has been asked for already")
                await connection.execute(ASK, number, action, bearer.subject)

    async def _is_done(self, bearer: Bearer, number: int, action: Action) -> bool:
        with reachable(self._database):
            async with Acquired(self._pool) as connection, connection.transaction(readonly=True):
                await enter(connection, bearer)
                row = await connection.fetchrow(OUTCOME, number)
        if row is None:
            raise not_found("dead_letter")
        if row["requested"] is not None:
            return False
        if row["state"] == "parked":
            detail = f"the record cannot be used: {row['reason']}: {row['message']}"
            raise Problem(422, "still_bad", detail)
        if row["state"] != STATES[action]:
            raise _not_parked(f"the dead letter is {row['state']} already")
        return True


def _not_parked(detail: str) -> Problem:
    return Problem(409, "not_parked", detail)
