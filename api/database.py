"""Connections to PostgreSQL: some that can read the views, others that can decide."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from api.problems import Problem, unavailable
from contracts import instants
from contracts.health import LOST, Outage
from contracts.read_model import COMMANDER_ROLE, READER_ROLE

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

MAX_CONNECTIONS: Final = 10
MAX_COMMAND_CONNECTIONS: Final = 5
CONNECT_TIMEOUT_S: Final = 5.0
ACQUIRE_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 10
# A server that has gone without a word must not hold a request for ever.
COMMAND_TIMEOUT_S: Final = STATEMENT_TIMEOUT_S + 5

SESSION: Final = {
    # As part of the login this is what `RESET ROLE` goes back to.
    "role": READER_ROLE,
    "application_name": "runfold-api",
    "timezone": "UTC",
    "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": f"{COMMAND_TIMEOUT_S}s",
    "default_transaction_read_only": "on",
    # Requests are short and many: compiling or parallel workers would cost more than they save.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Planning would be half of a request. Statements go from key to key by the indexes made for
    # them, so one plan suits all values and tables of any size; those whose best plan depends
    # on the values say so (`Snapshot.plan_by_values`).
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

COMMAND_SESSION: Final = SESSION | {
    "role": COMMANDER_ROLE,
    "application_name": "runfold-api-commands",
    "default_transaction_read_only": "off",
}

AWAY: Final = (
    *LOST,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # of the commands, whose sessions may write: a server that has become a standby
    asyncpg.ReadOnlySQLTransactionError,
)
"""Raised when the database cannot be used just now, or not with these settings."""


class NotMigrated(Problem):
    """The database has no views."""

    def __init__(self) -> None:
        detail = "the database has no views of this version: run `runfold migrate`"
        super().__init__(503, "not_migrated", detail, headers={"Retry-After": "10"})


def open_pool(database_url: str) -> Pool:
    """Return a pool that connects when it is first needed, and again after an outage.

    Its connections can read the views as the reader and write nothing.
    """
    return _pool(database_url, MAX_CONNECTIONS, SESSION)


def open_command_pool(database_url: str) -> Pool:
    """Return such a pool whose connections can make decisions."""
    return _pool(database_url, MAX_COMMAND_CONNECTIONS, COMMAND_SESSION)


def _pool(database_url: str, most: int, session: dict[str, str]) -> Pool:
    return asyncpg.create_pool(
        database_url,
        min_size=0,
        max_size=most,
        connect=_connect,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        reset=_keep,
        server_settings=session,
    )


async def _connect(*arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            *arguments, **options
        )
    except asyncpg.InvalidParameterValueError:
        # The only session setting a server may refuse is the role, which a migration creates.
        raise NotMigrated from None
    except asyncpg.InsufficientPrivilegeError as error:
        detail = f"the API's login lacks a role in the database: {error}"
        raise unavailable("role_not_granted", detail, retry_after=10) from None
    await instants.prepare(connection)
    return connection


async def _keep(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Reset nothing: whatever a request sets is local to its transaction."""


class Acquired:
    """A connection of the pool while the block runs.

    Entering it raises `Problem` (503 `database_busy`) when all of them stay in use for too long,
    which is no outage. Not a generator, which costs more: every request goes this way.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        try:
            self._connection: Connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except TimeoutError:
            if self._pool.get_idle_size() or self._pool.get_size() < self._pool.get_max_size():
                raise
            raise unavailable("database_busy", "all connections are in use: try again") from None
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._pool.release(self._connection)


@contextmanager
def reachable(database: Outage) -> Iterator[None]:
    """Turn what an absent, empty or busy database raises into a 503 that says so.

    Raises `Problem`: `database_unavailable`, `database_busy`, `query_timeout`, or `NotMigrated`.
    The beginning and the end of an outage are logged, not every request.
    """
    try:
        yield
        database.over()
    except asyncpg.QueryCanceledError:
        raise unavailable("query_timeout", "the database took too long to answer") from None
    except asyncpg.TransactionRollbackError:
        # a deadlock, or a conflict that it could not be brought into an order with
        raise unavailable("database_busy", "others were at the same rows: try again") from None
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        raise NotMigrated from None
    except AWAY as error:
        # A closed connection is known by a class that wrong arguments have, too.
        if isinstance(error, asyncpg.DataError):
            raise
        database.failed(error)
        raise unavailable("database_unavailable", "the database cannot be reached") from None
