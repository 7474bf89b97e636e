"""One request, one snapshot: how every question is put to the views.

A request reads in a single transaction of one snapshot, so its answer is of one generation and of
one instant. The first statement names the projects the bearer may see, which row-level security
goes by, and finds the active generation; the question follows; nothing else.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg

from api.auth import Bearer, Forbidden, Role
from api.database import Acquired, Connection, NotMigrated, Pool, reachable
from api.parameters import LiveParameters, Parameters, WaitFor
from api.problems import not_found, unavailable
from contracts.health import Outage
from contracts.read_model import (
    ALL_PROJECTS_SETTING,
    OPERATOR_SETTING,
    PROJECTS_SETTING,
    VERSION,
)

T = TypeVar("T")
Answer: TypeAlias = tuple[dict[str, Any], str | None]
"""The members of an answer, and `as_of`: the commit time of the newest batch it contains."""

# The search path makes the unqualified tables of a statement those of the generation.
BEGIN: Final = f"""
    SELECT g.name, g.read_model,
        set_config('{PROJECTS_SETTING}', $1::text[]::text, true),
        set_config('{ALL_PROJECTS_SETTING}', $2, true),
        set_config('{OPERATOR_SETTING}', $3, true),
        set_config('search_path', quote_ident(g.schema_name), true)
    FROM runfold.generation g
"""
BEGIN_ACTIVE: Final = f"{BEGIN} JOIN runfold.active_generation a ON a.name = g.name"
# One that is not complete may have no index yet.
BEGIN_NAMED: Final = f"{BEGIN} WHERE g.name = $4 AND g.complete AND g.read_model = {VERSION}"

CONTAINS: Final = """
    SELECT count(*) = cardinality($1::text[])
    FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS wanted (topic, partition, "offset")
    JOIN position p ON p.topic = wanted.topic AND p.partition = wanted.partition
    WHERE p.next_offset > wanted."offset"
"""

# Every answer says how new the view is that it was read from.
AS_OF: Final = """
    SELECT question.*, (SELECT runfold.rfc3339(max(updated_at)) FROM position) AS as_of
    FROM ({question}) AS question
"""

PLAN_BY_VALUES: Final = "SET LOCAL plan_cache_mode = force_custom_plan"

SHORTEST_PAUSE_S: Final = 0.005
LONGEST_PAUSE_S: Final = 0.2
LONGER: Final = 0.25
"""Part of the time waited so far that is waited until the next look: no answer is later by more."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The views of one generation at one instant, as far as one bearer may see them."""

    connection: Connection
    generation: str
    bearer: Bearer

    async def one(self, question: str, *arguments: object) -> asyncpg.Record:
        """Return the row of a question that always has one, with `as_of` besides."""
        row = await self.row(question, *arguments)
        if row is None:
            raise AssertionError(f"no row: {question}")
        return row

    async def row(self, question: str, *arguments: object) -> asyncpg.Record | None:
        """Return the question's only row, with `as_of` besides; None when it has none."""
        # Replaced, not formatted: the braces of a question's own JSON stay what they are.
        return await self.connection.fetchrow(AS_OF.replace("{question}", question), *arguments)

    async def plan_by_values(self) -> None:
        """Have the next questions planned for their arguments, where the best plan depends on them.

        Planning takes longer than most questions: others have one plan for all arguments.
        """
        await self.connection.execute(PLAN_BY_VALUES)


class Arguments(list[object]):
    """The arguments of a statement whose text depends on which filters are set."""

    def bind(self, value: object, kind: str) -> str:
        """Add a value; return its placeholder, cast to a PostgreSQL type."""
        self.append(value)
        return f"${len(self)}::{kind}"


def every(conditions: Sequence[str]) -> str:
    """Return the condition that all of these hold; true when there are none."""
    return " AND ".join(conditions) or "true"


class Views:
    """Where requests read."""

    def __init__(self, pool: Pool, database: Outage) -> None:
        self._pool, self._database = pool, database

    async def read(
        self,
        bearer: Bearer,
        parameters: LiveParameters,
        question: Callable[[Snapshot], Awaitable[T]],
    ) -> T:
        """Return the answer to `question`, once the view contains what is to be waited for.

        Raises `Problem`: 503 `not_yet` when it does not in time, 403 and 404 for a generation that
        the bearer may not name or that does not exist, else what `snapshot` raises. No connection
        is held while waiting.
        """
        generation = parameters.generation if isinstance(parameters, Parameters) else None
        if generation is not None and Role.OPERATOR not in bearer.roles:
            raise Forbidden([Role.OPERATOR])
        try:
            return await self._read(bearer, parameters, generation, question)
        except NotMigrated:
            # the generation that was active when it began may have been dropped since
            return await self._read(bearer, parameters, generation, question)

    async def _read(
        self,
        bearer: Bearer,
        parameters: LiveParameters,
        generation: str | None,
        question: Callable[[Snapshot], Awaitable[T]],
    ) -> T:
        began = time.monotonic()
        while True:
            async with self.snapshot(bearer, generation) as snapshot:
                if await _contains(snapshot, parameters.wait_for):
                    return await question(snapshot)
            waited = time.monotonic() - began
            if waited >= parameters.wait_timeout:
                raise unavailable("not_yet", "the view does not contain that record yet")
            pause = min(max(LONGER * waited, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
            await asyncio.sleep(min(pause, parameters.wait_timeout - waited))

    @asynccontextmanager
    async def snapshot(
        self, bearer: Bearer, generation: str | None = None
    ) -> AsyncIterator[Snapshot]:
        """Open a transaction in which the bearer's projects are all there is.

        Reads the active generation, or the one that is named. Raises what `enter`, `Acquired` and
        `reachable` raise.
        """
        with reachable(self._database):
            async with (
                Acquired(self._pool) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield Snapshot(connection, await enter(connection, bearer, generation), bearer)


async def enter(connection: Connection, bearer: Bearer, generation: str | None = None) -> str:
    """Make a transaction one in which the bearer's projects are all there is.

    Returns the name of the generation, by default the active one, whose tables those of the
    statements are then. Raises `NotMigrated` and `Problem`: 503 where the views are of another
    version, 404 when the generation named does not exist.
    """
    bounds = (
        list(bearer.projects or ()),
        "on" if bearer.projects is None else "off",
        "on" if Role.OPERATOR in bearer.roles else "off",
    )
    if generation is not None:
        row = await connection.fetchrow(BEGIN_NAMED, *bounds, generation)
        if row is None:
            raise not_found("generation")
        return generation
    row = await connection.fetchrow(BEGIN_ACTIVE, *bounds)
    if row is None:
        raise NotMigrated
    if row["read_model"] != VERSION:
        detail = "the views were made by another version: run `runfold rebuild`"
        raise unavailable("other_read_model", detail, retry_after=10)
    return str(row["name"])


async def _contains(snapshot: Snapshot, records: Sequence[WaitFor]) -> bool:
    if not records:
        return True
    topics, partitions, offsets = zip(*records, strict=True)
    return bool(await snapshot.connection.fetchval(CONTAINS, topics, partitions, offsets))
