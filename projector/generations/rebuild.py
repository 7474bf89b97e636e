"""One rebuild, from its beginning or from where it ended, to the swap; and the swap alone.

Each phase can be done again, by whoever resumes a rebuild that was killed in it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from contracts.errors import OperationError, UsageError
from projector.database import connected
from projector.errors import UnknownGeneration
from projector.generations import activation, load, processes, progress, schema, settle
from projector.generations.activation import ACTIVE
from projector.generations.catch_up import CatchUp, catching_up
from projector.generations.diff import Diff, differences
from projector.generations.plan import Options, Plan, check_files, fingerprint, plan, shares
from projector.generations.processes import Job
from projector.generations.progress import Tracker, Watcher
from projector.settings import ProjectorSettings
from projector.writing.batch import Partition

PHASES: Final = ("load", "settle", "derive", "catch up", "ready")
PART_OF: Final = {"load files": "load", "verify": "catch up", "swap": "catch up"}
"""Phases that are done again with another one."""

EXISTS: Final = "SELECT count(*) FROM runfold.generation WHERE name = $1"
BEGIN: Final = "INSERT INTO runfold.rebuild (generation, phase, options) VALUES ($1, 'load', $2)"
FIND: Final = "SELECT phase, options FROM runfold.rebuild WHERE generation = $1"
CHANGE: Final = "UPDATE runfold.rebuild SET options = $2 WHERE generation = $1"
COMPLETE: Final = "UPDATE runfold.generation SET complete = true WHERE name = $1"
FAIL: Final = """
    UPDATE runfold.rebuild SET error = $2, updated_at = clock_timestamp() WHERE generation = $1
"""

AS_BEGUN: Final[Mapping[str, object]] = {}

Work = Callable[[Sequence[Job]], Awaitable[None]]
"""Does jobs at the same time, and raises what one of them raises."""


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


async def rebuild(
    settings: ProjectorSettings, options: Options, watcher: Watcher, work: Work = processes.work
) -> Diff | None:
    """Make a generation from the whole history and activate it, if that was asked for.

    Returns in what it differs from the one that was active, if it was to be verified.

    Raises `UsageError` when the generation exists, `UnexpectedChanges`, and `OperationError` for
    history that is missing or a dependency that fails; the active generation is untouched then.
    """
    async with connected(settings.database_url) as connection:
        name = options.name
        await schema.lock(connection, name)
        # whatever is refused is refused before anything is made
        await plan(settings, options, await _reached(connection), {})
        if await connection.fetchval(EXISTS, name):
            raise UsageError(
                f"there is a generation {name!r}: choose another --name, --resume it, or"
                f" `runfold generations drop {name}` first"
            )
        known = tuple([await asyncio.to_thread(fingerprint, file) for file in options.files])
        options = options.model_copy(update={"fingerprints": known})
        async with connection.transaction():
            created = schema.creation(name, complete=False, as_of=options.until)
            for statement in (*created, *settle.loosen(name)):
                await connection.execute(statement)
            await connection.execute(BEGIN, name, options.model_dump_json())
        return await _run(settings, connection, options, "load", watcher=watcher, work=work)


async def resume(
    settings: ProjectorSettings,
    name: str,
    watcher: Watcher,
    given: Mapping[str, object] = AS_BEGUN,
    work: Work = processes.work,
) -> Diff | None:
    """Go on with a rebuild that was ended, as `rebuild`, and from now on as is `given`.

    Raises `UsageError` when there is none, when its files are others by now, and for what cannot
    be changed; `GenerationOutdated` when this version writes other tables.
    """
    async with connected(settings.database_url) as connection:
        await schema.lock(connection, name)
        begun = await connection.fetchrow(FIND, name)
        if begun is None:
            raise UsageError(f"there is no rebuild of generation {name!r} to resume")
        await schema.resolve(connection, name)
        options = Options.model_validate_json(begun["options"]).changed(given)
        phase = PART_OF.get(begun["phase"], begun["phase"])
        if phase == "load":
            await asyncio.to_thread(check_files, options)
        await connection.execute(CHANGE, name, options.model_dump_json())
        # one that was ready is taken up again only to do what is asked for now
        if given and phase == "ready":
            phase = "catch up"
        return await _run(settings, connection, options, phase, watcher=watcher, work=work)


async def activate(settings: ProjectorSettings, name: str) -> bool:
    """Make a generation active that stands by, once it is where the active one is.

    What its rebuild was allowed to do without, the swap does without, too. Returns whether it
    was not active before. Raises `OperationError` when its rebuild is running, it does not catch
    up, or the broker has dropped what it lacks, and what `activation.activate` raises.
    """
    async with connected(settings.database_url) as connection:
        await schema.lock(connection, name)
        await schema.resolve_current(connection, name)
        if await connection.fetchval(ACTIVE) == name:
            return False
        begun = await connection.fetchrow(FIND, name)  # the first generation was not rebuilt
        allow_gap = begun is not None and Options.model_validate_json(begun["options"]).allow_gap
        async with catching_up(connection, settings, name, allow_gap=allow_gap) as catch_up:
            await catch_up.near()
            await catch_up.swap()
        # whatever had ended its rebuild before, nothing of it is left to do
        await Tracker(connection, name, lambda _: None).enter("ready")
        return True


async def _run(
    settings: ProjectorSettings,
    connection: asyncpg.Connection,
    options: Options,
    phase: str,
    *,
    watcher: Watcher,
    work: Work,
) -> Diff | None:
    name = options.name
    try:
        async with _locked(connection, name), connected(settings.database_url) as looking:
            tracker = Tracker(looking, name, watcher)
            return await Rebuild(settings, connection, options, tracker, work).go_on(phase)
    except OperationError as error:
        if connection.is_closed() or await connection.execute(FAIL, name, str(error)) != "UPDATE 0":
            raise
        raise UnknownGeneration(name) from error


@asynccontextmanager
async def _locked(connection: asyncpg.Connection, name: str) -> AsyncIterator[None]:
    """End the block when the connection is lost that holds the lock on the generation."""
    try:
        async with asyncio.timeout(None) as block:

            def end(_: object) -> None:
                block.reschedule(0)

            connection.add_termination_listener(end)
            try:
                yield
            finally:
                connection.remove_termination_listener(end)
    except Exception as error:
        # whoever uses the connection may notice first
        if not connection.is_closed():
            raise
        raise OperationError(
            f"the connection to the database was lost, and with it the lock on generation {name!r}:"
            f" resume it with `runfold rebuild --name {name} --resume`"
        ) from error


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A rebuild under way."""

    settings: ProjectorSettings
    connection: asyncpg.Connection
    options: Options
    tracker: Tracker
    work: Work

    async def go_on(self, phase: str) -> Diff | None:
        """Do this phase and those after it; return the differences if they were asked for."""
        todo = PHASES[PHASES.index(phase) :]
        if "load" in todo:
            await self._load()
        if "settle" in todo:
            await self._settle()
        if "derive" in todo:
            await self._derive()
        found = await self._catch_up() if "catch up" in todo else None
        await self.tracker.enter("ready")
        return found

    async def _load(self) -> None:
        options = self.options
        reached = await _reached(self.connection)
        loaded = await schema.positions(self.connection, options.name)
        found = await plan(self.settings, options, reached, loaded)
        if options.files:
            names = [file.name for file in options.files]
            numbers = options.file_partitions
            async with self.tracker.counting("load files", progress.LINES, names, numbers):
                await self.work([(load.load_files, (self.settings, options))])
        parts = shares(found, options.workers)
        async with self.tracker.counting("load", progress.EVENTS, *_by_topic(found)):
            await self.work([(load.load_topics, (self.settings, options, part)) for part in parts])

    async def _settle(self) -> None:
        await self.tracker.enter("settle")
        url, name = self.settings.database_url, self.options.name
        await self.work([(settle.settle_tables, (url, name, each)) for each in settle.SHARES])

    async def _derive(self) -> None:
        url, name, parts = self.settings.database_url, self.options.name, self.options.workers
        async with self.tracker.counting("derive", progress.RUNS):
            await self.work([(settle.derive_runs, (url, name, n, parts)) for n in range(parts)])
        await settle.finish(self.connection, name)
        await self.connection.execute(COMPLETE, name)

    async def _catch_up(self) -> Diff | None:
        """Bring the generation to where the active one is, then swap if that was asked for."""
        options = self.options
        is_active = await self.connection.fetchval(ACTIVE) == options.name
        if options.until is not None or is_active:
            return None
        found = None
        await self.tracker.enter("catch up")
        async with catching_up(
            self.connection, self.settings, options.name, allow_gap=options.allow_gap
        ) as catch_up:
            if options.verify:
                await catch_up.near()
                await self.tracker.enter("verify")
                await catch_up.level()
                found = await self._verify(catch_up)
            if options.activate:
                await catch_up.near()
                await self.tracker.enter("swap")
                await catch_up.swap()
            else:
                await catch_up.read(await self.connection.fetchval(ACTIVE))
        return found

    async def _verify(self, catch_up: CatchUp) -> Diff:
        """Compare with the active generation, both at the same positions.

        Workers wait only until the snapshot is taken that both are compared in.
        """
        options = self.options
        async with (
            connected(self.settings.database_url) as comparing,
            comparing.transaction(isolation="repeatable_read", readonly=True),
        ):
            async with activation.workers_waiting(self.connection) as active:
                await catch_up.read(active)
                # the snapshot is that of the transaction's first statement
                await comparing.fetchval(ACTIVE)
            found, unexpected = Diff(), Diff()
            async for difference in differences(comparing, active, options.name):
                found.add(difference)
                if not difference.is_among(options.expect_changes):
                    unexpected.add(difference)
        if unexpected.total:
            raise UnexpectedChanges(options.name, found, unexpected)
        return found


def _by_topic(plan: Plan) -> tuple[list[str], list[int]]:
    """Return the topics, and how many events of each are to be loaded."""
    totals: Counter[str] = Counter()
    for partition, span in plan.items():
        totals[partition.topic] += span.end - span.first
    return [*totals], [*totals.values()]


async def _reached(connection: asyncpg.Connection) -> dict[Partition, int]:
    """Where the active generation stands, whatever version made it. Raises `NotMigrated`."""
    with schema.migrated():
        active = await connection.fetchval(ACTIVE)
    return await schema.positions(connection, active)
