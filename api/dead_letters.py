"""What operators have done with dead letters: asked of a worker here, waited for, and told.

Only a worker may write views, so the API stores what is asked and waits for what comes of it.
Where no worker runs the request stands, and is carried out by the first that does.
"""

import asyncio
import time
from typing import Final

from api.auth import Bearer
from api.database import Acquired, Pool, reachable
from api.problems import NotFound, Problem
from api.reading import enter
from contracts.health import Outage
from contracts.requests import CHANNEL, Action, Outcome

WAIT_S: Final = 5.0
"""How long a worker is waited for."""

FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.2

STATE: Final = """
    -- dead letter: what has become of it
    SELECT state FROM dead_letter WHERE id = $1::bigint
"""

ASK: Final = """
    -- dead letter: what is to be done with it
    INSERT INTO runfold.dead_letter_request (letter_id, action, asked_by)
    VALUES ($1, $2, $3)
    RETURNING request_id
"""

WAKE: Final = "SELECT pg_notify($1, '')"

CAME_OF_IT: Final = """
    -- dead letter: what came of a request
    SELECT outcome, detail FROM runfold.dead_letter_request WHERE request_id = $1
"""


class NotParked(Problem):
    """It was retried or discarded before."""

    def __init__(self, detail: str) -> None:
        super().__init__(409, "not_parked", detail)


class StillBad(Problem):
    """The record cannot be used today either; it stays parked."""

    def __init__(self, detail: str) -> None:
        super().__init__(422, "still_bad", f"the record cannot be used: {detail}")


class DeadLetters:
    """Where operators' requests go."""

    def __init__(self, pool: Pool, database: Outage) -> None:
        self._pool, self._database = pool, database

    async def carried_out(self, bearer: Bearer, number: int, action: Action) -> bool:
        """Have it done; return whether it has been, or False when no worker came to it in time.

        Raises `NotFound`, `NotParked`, `StillBad`, and what `Acquired` and `reachable` raise.
        """
        request = await self._ask(bearer, number, action)
        deadline = time.monotonic() + WAIT_S
        pause = FIRST_PAUSE_S
        while time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            if await self._is_done(bearer, request):
                return True
        return False

    async def _ask(self, bearer: Bearer, number: int, action: Action) -> int:
        with reachable(self._database):
            async with (
                Acquired(self._pool) as connection,
                connection.transaction(),
            ):
                await enter(connection, bearer)
                state = await connection.fetchval(STATE, number)
                if state is None:
                    raise NotFound("dead_letter")
                if state != "parked":
                    raise NotParked(f"the dead letter is {state} already")
                request = await connection.fetchval(ASK, number, action.value, bearer.subject)
                await connection.execute(WAKE, CHANNEL)
                return int(request)

    async def _is_done(self, bearer: Bearer, request: int) -> bool:
        with reachable(self._database):
            async with (
                Acquired(self._pool) as connection,
                connection.transaction(readonly=True),
            ):
                await enter(connection, bearer)
                row = await connection.fetchrow(CAME_OF_IT, request)
        return row is not None and _is_done(row["outcome"], row["detail"])


def _is_done(outcome: str | None, detail: str) -> bool:
    match outcome:
        case Outcome.UNKNOWN:
            raise NotFound("dead_letter")
        case Outcome.NOT_PARKED:
            raise NotParked(detail)
        case Outcome.STILL_BAD:
            raise StillBad(detail)
        case _:
            return outcome == Outcome.DONE
