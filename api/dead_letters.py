"""What operators have done with dead letters: asked of a worker here, waited for, and told.

Only a worker may write views, so the API stores what is asked and waits for what comes of it.
Where no worker runs the request stands, and is carried out by the first that does.
"""

import asyncio
import time
from typing import Final, Literal

from api.auth import Bearer
from api.database import Acquired, Pool, reachable
from api.problems import NotFound, Problem
from api.reading import enter
from contracts.health import Outage

WAIT_S: Final = 5.0
"""How long a worker is waited for."""

FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.2

TAKE: Final = """
    -- dead letter: what has become of it
    SELECT state, requested FROM runfold.dead_letter WHERE id = $1::bigint FOR UPDATE
"""

ASK: Final = """
    -- dead letter: what is to be done with it
    UPDATE runfold.dead_letter SET requested = $2, requested_by = $3 WHERE id = $1::bigint
"""

CAME_OF_IT: Final = """
    -- dead letter: what came of a request
    SELECT state, requested, reason, message FROM runfold.dead_letter WHERE id = $1::bigint
"""

Action = Literal["retry", "discard"]
STATES: Final[dict[Action, str]] = {"retry": "retried", "discard": "discarded"}


class NotParked(Problem):
    """It was retried or discarded before, or that has been asked for."""

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
            async with (
                Acquired(self._pool) as connection,
                connection.transaction(),
            ):
                await enter(connection, bearer)
                row = await connection.fetchrow(TAKE, number)
                if row is None:
                    raise NotFound("dead_letter")
                if row["state"] != "parked":
                    raise NotParked(f"the dead letter is {row['state']} already")
                if row["requested"] is not None:
                    raise NotParked(f"a {row['requested']} of it has been asked for already")
                await connection.execute(ASK, number, action, bearer.subject)

    async def _is_done(self, bearer: Bearer, number: int, action: Action) -> bool:
        with reachable(self._database):
            async with (
                Acquired(self._pool) as connection,
                connection.transaction(readonly=True),
            ):
                await enter(connection, bearer)
                row = await connection.fetchrow(CAME_OF_IT, number)
        if row is None:
            raise NotFound("dead_letter")
        if row["requested"] is not None:
            return False
        if row["state"] == "parked":
            raise StillBad(f"{row['reason']}: {row['message']}")
        if row["state"] != STATES[action]:
            raise NotParked(f"the dead letter is {row['state']} already")
        return True
