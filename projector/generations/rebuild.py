"""One rebuild from its beginning, or from where it was ended, to the swap."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import asyncpg

from contracts.errors import OperationError
from projector.database import connected
from projector.errors import NotMigrated
from projector.generations import activation, crew, derive, load, record, settle
from projector.generations.activation import ACTIVE
from projector.generations.beside import holding
from projector.generations.catch_up import CatchUp, catching_up, positions
from projector.generations.diff import Diff, Difference, differences
from projector.generations.load import Loading
from projector.generations.marks import check, mark
from projector.generations.pace import Pace
from projector.generations.plan import Options, Plan, plan, shares
from projector.generations.progress import Tracker, Watcher
from projector.generations.record import Begun
from projector.settings import ProjectorSettings
from projector.writing.batch import Partition

PHASES: Final = ("load", "settle", "derive", "catch up", "ready")

PART_OF: Final = {"load files": "load", "verify": "catch up", "swap": "catch up"}
"""What is told as a phase of its own and is done again with another."""

AS_BEGUN: Final[Mapping[str, object]] = {}
CHANGE: Final = "UPDATE runfold.rebuild SET options = $2 WHERE generation = $1"


class UnexpectedChanges(OperationError):
    """The new generation differs from the active one in what was not to differ."""

    def __init__(self, name: str, found: Diff, unexpected: Diff) -> None:
        super().__init__(
            f"generation {name!r} was not activated: of {found.total} rows that differ"
            f" {unexpected.total} are not what --expect-changes allows, the first is"
            f" {unexpected.named[0]}; see `runfold generations diff`;"
            " `runfold generations activate` takes it as it is"
        )
        self.diff = Diff(found.totals, unexpected.named)
        """All that differs, counted, and the first of what was not expected."""


async def rebuild(settings: ProjectorSettings, options: Options, watcher: Watcher) -> Diff | None:
    """Make a generation from the whole history and activate it, if that was asked for.

    Returns in what it differs from the one that was active, if it was to be verified.

    Raises `GenerationExists`, `RebuildRunning`, `HistoryIncomplete`, `UnexpectedChanges`, and
    `OperationError` for a dependency that fails; the active generation is untouched then.
    """
    async with connected(settings.database_url) as connection:
        await record.lock(connection, options.name)
        await _planned(settings, connection, options, {})
        marks = tuple([await asyncio.to_thread(mark, file) for file in options.files])
        begun = await record.begin(connection, options.model_copy(update={"marks": marks}))
        return await _run(settings, connection, begun, watcher)


async def resume(
    settings: ProjectorSettings,
    name: str,
    watcher: Watcher,
    given: Mapping[str, object] = AS_BEGUN,
) -> Diff | None:
    """Go on with a rebuild that was ended, as `rebuild`, and from now on as is `given`.

    Raises `NothingToResume`, `FileChanged`, and `UsageError` for what it was begun otherwise with.
    """
    async with connected(settings.database_url) as connection:
        await record.lock(connection, name)
        begun = await record.resume(connection, name)
        options = begun.options.changed(given)
        if PART_OF.get(begun.phase, begun.phase) == "load":
            for file, known in zip(options.files, options.marks, strict=False):
                await asyncio.to_thread(check, file, known, name)
        await connection.execute(CHANGE, name, options.model_dump_json())
        # one that was ready is taken up again only to do what is asked for now
        phase = "catch up" if given and begun.phase == "ready" else begun.phase
        return await _run(settings, connection, Begun(options, phase), watcher)


async def _run(
    settings: ProjectorSettings, connection: asyncpg.Connection, begun: Begun, watcher: Watcher
) -> Diff | None:
    name = begun.options.name
    try:
        async with holding(connection, name), connected(settings.database_url) as looking:
            rebuilding = Rebuild(
                settings, connection, begun.options, Tracker(looking, name, watcher)
            )
            await rebuilding.go_on(begun.phase)
            return rebuilding.diff
    except OperationError as error:
        await record.fail(connection, name, str(error))
        raise


class Rebuild:
    """A rebuild under way; each phase may be done again."""

    def __init__(
        self,
        settings: ProjectorSettings,
        connection: asyncpg.Connection,
        options: Options,
        tracker: Tracker,
    ) -> None:
        self.diff: Diff | None = None
        """In what the generation differs from the one that was active, once that was asked."""
        self._settings = settings
        self._connection = connection
        self._options = options
        self._tracker = tracker

    async def go_on(self, phase: str) -> None:
        """Do this phase and those after it."""
        steps = {
            "load": self._load,
            "settle": self._settle,
            "derive": self._derive,
            "catch up": self._catch_up,
        }
        first = PHASES.index(PART_OF.get(phase, phase))
        for step in PHASES[first:-1]:
            await record.enter_phase(self._connection, self._options.name, step)
            await steps[step]()
        await record.enter_phase(self._connection, self._options.name, "ready")

    async def _load(self) -> None:
        options, settings = self._options, self._settings
        found = await self._plan()
        parts = shares(found, options.workers)
        rate = options.max_rate / len(parts) if options.max_rate and parts else options.max_rate
        loading = Loading(settings, options.name, options.until, rate, options.allow_gap)
        if options.files:
            async with self._tracker.loading_files(options.files):
                every = replace(loading, rate=options.max_rate)
                await crew.work([(load.load_files, (every, options.files))])
        async with self._tracker.loading(found):
            await crew.work([(load.load_topics, (loading, part)) for part in parts])

    async def _settle(self) -> None:
        await self._tracker.tell("settle")
        url, name = self._settings.database_url, self._options.name
        await crew.work([(settle.settle_tables, (url, name, tables)) for tables in settle.SHARES])

    async def _derive(self) -> None:
        name, parts = self._options.name, self._options.workers
        async with self._tracker.deriving():
            url = self._settings.database_url
            await crew.work([(derive.derive_runs, (url, name, n, parts)) for n in range(parts)])
        await derive.finish(self._connection, name)
        await record.complete(self._connection, name)

    async def _catch_up(self) -> None:
        """Bring the generation to where the active one is, then swap if that was asked for."""
        options, connection = self._options, self._connection
        is_active = await connection.fetchval(ACTIVE) == options.name
        if options.until is not None or is_active:
            return
        await self._tracker.tell("catch up")
        async with catching_up(
            connection, self._settings, options.name, allow_gap=options.allow_gap
        ) as catch_up:
            pace = Pace(options.max_rate)
            if options.verify:
                await catch_up.near(pace)
                await self._tracker.tell("verify")
                await catch_up.level()
                await self._verify(catch_up)
            if options.activate:
                await catch_up.near(pace)
                await self._tracker.tell("swap")
                await catch_up.swap()
            else:
                await catch_up.read(await connection.fetchval(ACTIVE), pace)

    async def _verify(self, catch_up: CatchUp) -> None:
        """Compare with the active generation, both at the same positions.

        Workers wait only until the snapshot is taken that both are compared in.
        """
        options = self._options
        async with (
            connected(self._settings.database_url) as comparing,
            comparing.transaction(isolation="repeatable_read", readonly=True),
        ):
            async with activation.workers_waiting(self._connection) as active:
                await catch_up.read(active)
                # the snapshot is that of the transaction's first statement
                await comparing.fetchval(ACTIVE)
            self.diff, unexpected = Diff(), Diff()
            async for difference in differences(comparing, active, options.name):
                self.diff.add(difference)
                if not _is_expected(difference, options):
                    unexpected.add(difference)
        if unexpected.total:
            raise UnexpectedChanges(options.name, self.diff, unexpected)

    async def _plan(self) -> Plan:
        loaded = await positions(self._connection, self._options.name)
        return await _planned(self._settings, self._connection, self._options, loaded)


async def _planned(
    settings: ProjectorSettings,
    connection: asyncpg.Connection,
    options: Options,
    loaded: Mapping[Partition, int],
) -> Plan:
    """Return the plan as `plan` does, by what the database knows."""
    reached = await _reached(connection)
    return await plan(settings, options, reached, loaded, {})


async def _reached(connection: asyncpg.Connection) -> dict[Partition, int]:
    """Where the active generation stands, whatever version made it. Raises `NotMigrated`."""
    try:
        active = await connection.fetchval(ACTIVE)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise NotMigrated from error
    return await positions(connection, active)


def _is_expected(difference: Difference, options: Options) -> bool:
    """Whether every field in which a row differs was announced."""
    fields = [f"{difference.table}.{field}" for field in difference.fields] or [difference.table]
    return all(
        any(field == each or field.startswith(f"{each}.") for each in options.expect_changes)
        for field in fields
    )
