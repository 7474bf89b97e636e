"""Which generation is active, and how that changes in one step.

Workers write every batch under a lock that they share; a change of the active generation takes
that lock alone. So it is certain until a batch commits whether it goes into the active generation,
and a change waits for batches under way.
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
"""How long a change of the active generation may queue at a time: later workers queue behind it."""
ATTEMPTS: Final = 30
PAUSE_SECONDS: Final = 1.0
"""Between attempts: queued workers get their turn."""

LONGEST_SECONDS: Final = 60
"""How long workers may be made to wait, even by a process that is put to sleep."""
LIMIT: Final = f"""
    SET LOCAL idle_in_transaction_session_timeout = '{LONGEST_SECONDS}s';
    SET LOCAL lock_timeout = '{LONGEST_SECONDS}s'
"""

POINT: Final = "UPDATE runfold.active_generation SET name = $1"
FOLLOW: Final = "UPDATE runfold.worker SET generation = $2 WHERE generation = $1"
"""Workers report it themselves, but later; until then nobody is to think that none follows."""
STAMP: Final = "UPDATE runfold.generation SET activated_at = clock_timestamp() WHERE name = $1"

AHEAD: Final = """
    SELECT coalesce(sum(greatest(0, one.next_offset - coalesce(other.next_offset, one.first_offset)
        - greatest(0, one.gaps - coalesce(other.gaps, 0)))), 0)::bigint
    FROM {one}.position AS one
    LEFT JOIN {other}.position AS other USING (topic, partition)
    WHERE one.partition >= 0 AND one.next_offset > coalesce(other.next_offset, one.first_offset)
"""
"""Offsets without a record are not counted: workers move over the last of them later."""


class ActiveGenerationChanged(OperationError):
    """Another generation is active now; nothing of this batch was written."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"generation {name!r} is active now")


class Mode(Enum):
    """When a generation may be written."""

    ACTIVE = "active"
    """Only while it is the active one."""
    BUILDING = "building"
    """While it is built, even while workers wait for it to become active."""


class Target(NamedTuple):
    """The generation that is written."""

    generation: str
    mode: Mode = Mode.ACTIVE


async def enter(connection: Connection, target: Target) -> None:
    """Make a transaction write to the target generation.

    In mode ACTIVE it stays the active one until the transaction ends. Raises
    `ActiveGenerationChanged`, and `UnknownGeneration` when it has been dropped.
    """
    entered = schema.schema_of(target.generation)
    if target.mode is Mode.ACTIVE:
        await connection.execute(HOLD, ACTIVATION, entered)
    else:
        await connection.execute(ENTER, entered)
    ((active, is_gone),) = await connection.fetch(HERE, entered)
    if target.mode is Mode.ACTIVE and active != target.generation:
        raise ActiveGenerationChanged(active)
    if is_gone:
        raise UnknownGeneration(target.generation)


@asynccontextmanager
async def workers_waiting(connection: asyncpg.Connection) -> AsyncIterator[str]:
    """A transaction during which no worker can commit to the active generation; gives its name.

    Raises `OperationError` when the lock is not to be had, or when the block takes longer than
    workers may be made to wait; all that was done in it is undone then.
    """
    try:
        async with asyncio.timeout(None) as limit, connection.transaction():
            await _take(connection)
            limit.reschedule(asyncio.get_running_loop().time() + LONGEST_SECONDS)
            yield str(await connection.fetchval(ACTIVE))
    except TimeoutError as error:
        raise OperationError(
            f"the new generation was not brought up to the active one within {LONGEST_SECONDS} s,"
            " and workers are not made to wait longer: the active one stays. Try it again when"
            " fewer events come"
        ) from error


async def _take(connection: asyncpg.Connection) -> None:
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
    raise OperationError(
        f"the active generation was in use by a long transaction at each of {ATTEMPTS} attempts"
        " to change it, and workers are not made to wait for that: the active one stays. See"
        " pg_stat_activity for the transaction, and try it again when it has ended"
    )


async def activate(
    connection: asyncpg.Connection,
    name: str,
    catch_up: Callable[[str], Awaitable[None]],
    lost: Collection[Partition] = (),
) -> None:
    """Make a generation the active one, in one step for all readers and workers.

    `catch_up` is called with the name of the active one while no worker can commit to that: it
    has to bring the new one to at least where the active one stands, but for partitions whose log
    is `lost`. Raises `OperationError` when it did not, and what `workers_waiting` and
    `schema.resolve_current` raise; the active one stays then. One that is active already is left
    as it is.
    """
    async with workers_waiting(connection) as active:
        await schema.resolve_current(connection, name)
        if active == name:
            return
        await catch_up(active)
        await _check_caught_up(connection, active, name, lost)
        # any run may differ: other code made it, or of events that no worker has logged
        await change_log.forget(connection)
        await connection.execute(POINT, name)
        await connection.execute(STAMP, name)
        await connection.execute(FOLLOW, active, name)


async def _check_caught_up(
    connection: Connection, active: str, name: str, lost: Collection[Partition]
) -> None:
    found = await schema.positions(connection, name)
    for each, needed in sorted((await schema.positions(connection, active)).items()):
        if each not in lost and found.get(each, -1) < needed:
            raise OperationError(
                f"generation {name!r} stands at {found.get(each, -1)} of"
                f" {each.topic}[{each.partition}], the active one at {needed}: it would show"
                " readers an older view"
            )


async def events_ahead(connection: Connection, one: str, other: str) -> int:
    """Return how many events `one` generation has that the other has yet to read."""
    schemas = {"one": schema.schema_of(one), "other": schema.schema_of(other)}
    return int(await connection.fetchval(AHEAD.format(**schemas)))
