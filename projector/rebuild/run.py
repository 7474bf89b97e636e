"""One rebuild from its beginning, or from where it was ended, to the swap."""

from collections.abc import Sequence

import asyncpg

from contracts.errors import OperationError
from contracts.locks import ACTIVATION
from projector import activation
from projector.activation import ACTIVE
from projector.batch import Partition
from projector.database import connected
from projector.generations import schema_of
from projector.rebuild import crew, derive, jobs, record
from projector.rebuild.diff import Diff, Difference, diff
from projector.rebuild.jobs import Loading, applying
from projector.rebuild.load import Pace, TopicReader, reading
from projector.rebuild.plan import Options, plan, shares
from projector.rebuild.progress import Tracker, Watcher
from projector.rebuild.record import Begun
from projector.rebuild.settle import settle
from projector.settings import ProjectorSettings

PHASES = ("load", "settle", "derive", "catch up", "ready")

CLOSE_ENOUGH = 500
"""Events behind the active generation at which workers are made to wait for the rest."""

MOST_COMPARED = 100_000
"""Rows that may differ and be expected to."""

POSITIONS = "SELECT topic, partition, next_offset FROM {schema}.position WHERE partition >= 0"


class UnexpectedChanges(OperationError):
    """The new generation differs from the active one in what was not to differ."""

    def __init__(self, name: str, found: Diff, unexpected: Sequence[Difference]) -> None:
        first = f", the first is {unexpected[0]}" if unexpected else ""
        super().__init__(
            f"generation {name!r} was not activated: of {found.total} rows that differ"
            f" {len(unexpected)} are not what --expect-changes allows{first};"
            " see `runfold generations diff`"
        )


async def rebuild(settings: ProjectorSettings, options: Options, watcher: Watcher) -> None:
    """Make a generation from the whole history and activate it, if that was asked for.

    Raises `GenerationExists`, `RebuildRunning`, `HistoryIncomplete`, `UnexpectedChanges`, and
    `OperationError` for a dependency that fails; the active generation is untouched then.
    """
    async with connected(settings.database_url) as connection:
        await record.lock(connection, options.name)
        await plan(settings, options)
        await _run(settings, connection, await record.begin(connection, options), watcher)


async def resume(settings: ProjectorSettings, name: str, watcher: Watcher) -> None:
    """Go on with a rebuild that was ended, as `rebuild`. Raises `NothingToResume`."""
    async with connected(settings.database_url) as connection:
        await record.lock(connection, name)
        await _run(settings, connection, await record.resume(connection, name), watcher)


async def _run(
    settings: ProjectorSettings, connection: asyncpg.Connection, begun: Begun, watcher: Watcher
) -> None:
    name = begun.options.name
    try:
        async with connected(settings.database_url) as looking:
            rebuilding = Rebuild(
                settings, connection, begun.options, Tracker(looking, name, watcher)
            )
            await rebuilding.go_on(begun.phase)
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
        for step in PHASES[PHASES.index(phase) : -1]:
            await record.enter_phase(self._connection, self._options.name, step)
            await steps[step]()
        await record.enter_phase(self._connection, self._options.name, "ready")

    async def _load(self) -> None:
        options = self._options
        found = await plan(self._settings, options)
        parts = shares(found, options.workers)
        rate = options.max_rate / len(parts) if options.max_rate and parts else options.max_rate
        loading = Loading(self._settings, options.name, options.until, rate)
        async with self._tracker.loading(found):
            if options.files:
                await crew.work([(jobs.load_files, (loading, options.files))])
            await crew.work([(jobs.load_topics, (loading, part)) for part in parts])

    async def _settle(self) -> None:
        await self._tracker.tell("settle")
        await settle(self._connection, self._options.name)

    async def _derive(self) -> None:
        name, workers = self._options.name, self._options.workers
        async with self._tracker.deriving():
            await crew.work(
                [
                    (jobs.derive_runs, (self._settings, name, slot, workers))
                    for slot in range(workers)
                ]
            )
        await self._connection.execute(f"SET search_path = {schema_of(name)}")
        await derive.count_contracts(self._connection)
        await record.complete(self._connection, name)

    async def _catch_up(self) -> None:
        """Bring the generation to where the active one is, then swap."""
        options = self._options
        if options.until is not None:
            return
        await self._tracker.tell("catch up")
        # a partition that was added to a topic meanwhile begins at its beginning
        first = dict.fromkeys(await self._active_positions(), 0)
        first |= await self._positions(options.name)
        async with (
            applying(self._settings, options.name, first) as applier,
            reading(self._settings, applier, Pace(options.max_rate)) as reader,
        ):
            while await self._behind() > CLOSE_ENOUGH:
                await self._read_to_active(reader)
            if options.verify:
                await self._verify(reader)
            if options.activate:
                await activation.activate(
                    self._connection, options.name, lambda: self._read_to_active(reader)
                )
            else:
                await self._read_to_active(reader)

    async def _read_to_active(self, reader: TopicReader) -> None:
        await reader.up_to(await self._active_positions())

    async def _verify(self, reader: TopicReader) -> None:
        """Compare with the active generation, both at the same positions.

        Workers wait only until the snapshot is taken that both are compared in.
        """
        await self._tracker.tell("verify")
        async with connected(self._settings.database_url) as comparing:
            snapshot = comparing.transaction(isolation="repeatable_read", readonly=True)
            async with self._connection.transaction():
                await self._connection.execute(activation.TAKE, ACTIVATION)
                await self._read_to_active(reader)
                await snapshot.start()
                active = await comparing.fetchval(ACTIVE)
            found = await diff(comparing, active, self._options.name, MOST_COMPARED)
            await snapshot.rollback()
        unexpected = [each for each in found.named if not _is_expected(each, self._options)]
        if unexpected or found.total > len(found.named):
            raise UnexpectedChanges(self._options.name, found, unexpected)

    async def _behind(self) -> int:
        active = await self._active_positions()
        own = await self._positions(self._options.name)
        return sum(max(0, at - own.get(partition, 0)) for partition, at in active.items())

    async def _active_positions(self) -> dict[Partition, int]:
        return await self._positions(await self._connection.fetchval(ACTIVE))

    async def _positions(self, name: str) -> dict[Partition, int]:
        rows = await self._connection.fetch(POSITIONS.format(schema=schema_of(name)))
        return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _is_expected(difference: Difference, options: Options) -> bool:
    """Whether every field in which a row differs was announced."""
    fields = [f"{difference.table}.{field}" for field in difference.fields] or [difference.table]
    return all(
        any(field == each or field.startswith(f"{each}.") for each in options.expect_changes)
        for field in fields
    )
