"""Which generation is active, and how that changes in one step.

A worker writes every batch under a lock that it shares with all others; who changes the active
generation takes that lock alone. So a batch is known to go into the active one or not until it
commits, and a change waits for batches under way.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, NamedTuple

import asyncpg

from contracts.errors import OperationError
from contracts.locks import ACTIVATION
from projector.dependencies import Connection
from projector.errors import UnknownGeneration
from projector.generations import schema
from projector.operations import change_log
from projector.writing.batch import Partition

HOLD: Final = "SELECT pg_advisory_xact_lock_shared($1), set_config('search_path', $2, true)"
ENTER: Final = "SELECT set_config('search_path', $1, true)"
HERE: Final = """
    SELECT (SELECT name FROM runfold.active_generation), to_regnamespace($1) IS NULL
"""
ACTIVE: Final = "SELECT name FROM runfold.active_generation"

TAKE: Final = "SELECT pg_advisory_xact_lock($1)"

QUEUE: Final = "SET LOCAL lock_timeout = '1s'"
"""How long who changes the active generation may queue at a time: all that come after it wait."""
ATTEMPTS: Final = 30
PAUSE_SECONDS: Final = 1.0
"""Between attempts: whoever waited goes on."""

LONGEST_SECONDS: Final = 60
"""How long workers may be made to wait: a process that is put to sleep would have them wait on."""
LIMIT: Final = f"""
    SET LOCAL idle_in_transaction_session_timeout = '{LONGEST_SECONDS}s';
    SET LOCAL lock_timeout = '{LONGEST_SECONDS}s'
"""

POINT: Final = """
    UPDATE runfold.active_generation SET name = $1
"""

FOLLOW: Final = """
    UPDATE runfold.worker SET generation = $2 WHERE generation = $1
"""
"""Workers say so themselves with their next report; nobody is to think meanwhile that none is."""

STAMP: Final = """
    UPDATE runfold.generation SET activated_at = clock_timestamp() WHERE name = $1
"""

BEHIND: Final = """
    SELECT active.topic, active.partition, active.next_offset AS needed,
        coalesce(other.next_offset, -1) AS found
    FROM {active}.position AS active
    LEFT JOIN {other}.position AS other USING (topic, partition)
    WHERE active.partition >= 0 AND coalesce(other.next_offset, -1) < active.next_offset
    ORDER BY active.topic, active.partition
"""

AHEAD: Final = """
    SELECT coalesce(sum(greatest(0, one.next_offset - coalesce(other.next_offset, one.first_offset)
        - greatest(0, one.gaps - coalesce(other.gaps, 0)))), 0)::bigint
    FROM {one}.position AS one
    LEFT JOIN {other}.position AS other USING (topic, partition)
    WHERE one.partition >= 0 AND one.next_offset > coalesce(other.next_offset, one.first_offset)
"""
"""Offsets that hold no record are not counted: over the last of them a worker moves later."""


class ActiveGenerationChanged(OperationError):
    """Another generation is active now; nothing of this batch was written."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"generation {name!r} is active now")


class NotCaughtUp(OperationError):
    """A generation lacks records that the active one has."""

    def __init__(self, name: str, topic: str, partition: int, found: int, needed: int) -> None:
        super().__init__(
            f"generation {name!r} stands at {found} of {topic}[{partition}], the active one at"
            f" {needed}: it would show readers an older view"
        )


class ActivationHeld(OperationError):
    """Somebody goes on for long with what relies on which generation is active."""

    def __init__(self) -> None:
        super().__init__(
            f"the active generation was in use by a long transaction at each of {ATTEMPTS} attempts"
            " to change it, and workers are not made to wait for that: the active one stays. See"
            " pg_stat_activity for the transaction, and try it again when it has ended"
        )


class TooSlow(OperationError):
    """Bringing a generation up to the active one took longer than workers may be made to wait."""

    def __init__(self) -> None:
        super().__init__(
            f"the new generation was not brought up to the active one within {LONGEST_SECONDS} s,"
            " and workers are not made to wait longer: the active one stays. Try it again when"
            " fewer events come"
        )


class Bond(Enum):
    """What a generation being active means to who writes it."""

    FOLLOWS = "follows"
    """It is written only while it is active, and its successor after that."""
    KEEPS = "keeps"
    """It is written whether it is active or not."""
    MAKES = "makes"
    """It is not active: it is written even while workers wait for it to become so."""


class Target(NamedTuple):
    """The generation that is written."""

    generation: str
    bond: Bond = Bond.FOLLOWS


async def enter(connection: Connection, target: Target) -> bool:
    """Make a transaction write to the target generation; return whether that is the active one.

    Which one is active stays so until the transaction ends, but for who makes a generation.
    Raises `ActiveGenerationChanged`, and `UnknownGeneration` when it has been dropped.
    """
    entered = schema.schema_of(target.generation)
    if target.bond is Bond.MAKES:
        await connection.execute(ENTER, entered)
    else:
        await connection.execute(HOLD, ACTIVATION, entered)
    ((active, is_gone),) = await connection.fetch(HERE, entered)
    if target.bond is Bond.FOLLOWS and active != target.generation:
        raise ActiveGenerationChanged(active)
    if is_gone:
        raise UnknownGeneration(target.generation)
    return bool(target.bond is not Bond.MAKES and active == target.generation)


@asynccontextmanager
async def workers_waiting(connection: asyncpg.Connection) -> AsyncIterator[str]:
    """A transaction during which no worker can commit to the active generation, whose name it is.

    Raises `ActivationHeld`, and `TooSlow` when it lasts too long; all that was done in it is undone
    then.
    """
    try:
        async with asyncio.timeout(None) as limit, connection.transaction():
            await _take(connection)
            limit.reschedule(asyncio.get_running_loop().time() + LONGEST_SECONDS)
            yield str(await connection.fetchval(ACTIVE))
    except TimeoutError as error:
        raise TooSlow from error


async def _take(connection: asyncpg.Connection) -> None:
    """Hold the lock alone. Raises `ActivationHeld` when others hold it at every attempt."""
    for _ in range(ATTEMPTS):
        try:
            async with connection.transaction():
                await connection.execute(QUEUE)
                await connection.execute(TAKE, ACTIVATION)
                await connection.execute(LIMIT)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
    raise ActivationHeld


async def activate(
    connection: asyncpg.Connection,
    name: str,
    catch_up: Callable[[str], Awaitable[None]],
    lost: Collection[Partition] = (),
) -> None:
    """Make a generation the active one, in one step for all readers and workers.

    `catch_up` is called, with the name of the active one, while no worker can commit to that: it
    has to bring the new one to at least where the active one stands, but for partitions whose log
    is `lost`. Raises `NotCaughtUp` when it did not, and what `workers_waiting` and
    `generations.resolve_current` raise; the active one stays then. One that is active already is
    left as it is.
    """
    async with workers_waiting(connection) as active:
        await schema.resolve_current(connection, name)
        if active == name:
            return
        await catch_up(active)
        await check_caught_up(connection, active, name, lost)
        # made by other code, or of events that no worker has told of, any run may be another one
        await change_log.forget(connection)
        await connection.execute(POINT, name)
        await connection.execute(STAMP, name)
        await connection.execute(FOLLOW, active, name)


async def check_caught_up(
    connection: Connection, active: str, name: str, lost: Collection[Partition] = ()
) -> None:
    """Raise `NotCaughtUp` when `name` stands behind the active one in a log that is not lost."""
    statement = BEHIND.format(active=schema.schema_of(active), other=schema.schema_of(name))
    for row in await connection.fetch(statement):
        if (row["topic"], row["partition"]) not in lost:
            raise NotCaughtUp(name, row["topic"], row["partition"], row["found"], row["needed"])


async def events_ahead(connection: Connection, one: str, other: str) -> int:
    """Return how many events `one` generation has that the other has yet to read."""
    schemas = {"one": schema.schema_of(one), "other": schema.schema_of(other)}
    return int(await connection.fetchval(AHEAD.format(**schemas)))
