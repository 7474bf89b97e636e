"""Where rebuilds are tested: a database, topics with a history, and rebuilds in this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from contracts.errors import OperationError
from projector import jsonl
from projector.database import connected
from projector.generations import rebuild, schema
from projector.generations.diff import Diff, diff
from projector.generations.plan import Options
from projector.generations.processes import Job
from projector.generations.rebuild import Work
from projector.operations.audit import audit
from projector.operations.export import export
from projector.settings import ProjectorSettings
from tests.command import COMMAND, Finished, environment
from tests.live import applied, produce, variables_of
from tests.reference import Record
from tests.stack.waiting import until

APACHE = pytest.param("apache", marks=pytest.mark.kafka)
on_both = pytest.mark.parametrize("bootstrap", ["embedded", APACHE], indirect=True)
on_apache = pytest.mark.parametrize("bootstrap", [APACHE], indirect=True)

ENDED = "the rebuild was ended"

FULL_DISK = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON {table}
    FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION full_disk()
"""
ROOM_AGAIN = "DROP FUNCTION full_disk CASCADE"


async def in_process(jobs: Sequence[Job]) -> None:
    """Do the jobs of a rebuild here, where a test would only wait for processes to start."""
    doing = [asyncio.ensure_future(job(*arguments)) for job, arguments in jobs]
    try:
        await asyncio.gather(*doing)
    finally:
        for each in doing:
            each.cancel()
        await asyncio.gather(*doing, return_exceptions=True)


async def ended(jobs: Sequence[Job]) -> None:
    raise OperationError(ENDED)


@dataclass(slots=True)
class Place:
    """One test's; `sent` counts the records that are in the topics."""

    settings: ProjectorSettings
    connection: asyncpg.Connection
    sent: int = 0

    async def rebuild(self, name: str, work: Work = in_process, **given: object) -> Diff | None:
        options = Options.asked_for(name, given)
        return await rebuild.rebuild(self.settings, options, lambda _: None, work)

    async def resume(self, name: str, work: Work = in_process, **given: object) -> Diff | None:
        return await rebuild.resume(self.settings, name, lambda _: None, given, work)

    async def activate(self, name: str) -> bool:
        return await rebuild.activate(self.settings, name)

    async def drop(self, name: str) -> None:
        async with connected(self.settings.database_url) as connection:
            await schema.drop(connection, name)

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[asyncio.Task[object]]:
        """A rebuild that begins to load only when the block has ended."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(jobs: Sequence[Job]) -> None:
            begun.set()
            await go_on.wait()
            await in_process(jobs)

        rebuilding: asyncio.Task[object] = asyncio.create_task(self.rebuild(name, wait))
        await until(lambda: begun.is_set() or rebuilding.done(), 60, "a rebuild to begin")
        assert begun.is_set(), rebuilding
        try:
            yield rebuilding
        finally:
            go_on.set()

    async def states(self) -> dict[str, str]:
        return {each.name: each.state for each in await schema.generations(self.connection)}

    async def known(self, name: str) -> schema.Generation:
        every = await schema.generations(self.connection)
        return next(each for each in every if each.name == name)

    async def export(self, path: Path) -> None:
        with jsonl.writing(str(path)) as file:
            await export(self.settings, file)

    async def call(self, *arguments: str) -> Finished:
        process = await self.begun(*arguments)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())

    async def done(self, *arguments: str) -> str:
        """What a command prints that ends well."""
        finished = await self.call(*arguments)
        assert finished.status == 0, finished
        return finished.out

    async def refused(self, *arguments: str, status: int = 1) -> str:
        """The last line of a command that fails: the one that says why."""
        finished = await self.call(*arguments)
        assert finished.status == status, finished
        assert "Traceback" not in finished.err, finished.err
        return finished.err.splitlines()[-1]

    async def begun(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe, variables = asyncio.subprocess.PIPE, environment(variables_of(self.settings))
        return await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, env=variables, stdout=pipe, stderr=pipe
        )

    async def active(self) -> str:
        found = await self.connection.fetchval("SELECT name FROM runfold.active_generation")
        return str(found)

    async def send(self, records: Sequence[Record]) -> None:
        self.sent += await produce(self.settings, records)

    async def caught_up(self) -> None:
        """Return once the active generation accounts for all that was sent."""
        await self.connection.execute(f"SET search_path = g_{await self.active()}")
        await applied(self.connection, self.sent)

    async def is_sound(self, *records: Record) -> None:
        """Send records; once they have arrived, the audit of the active generation is clean."""
        if records:
            await self.send(records)
            await self.caught_up()
        assert (await audit(self.connection)).faults == ()

    async def differences(self, one: str, other: str) -> list[str]:
        async with self.connection.transaction(isolation="repeatable_read"):
            return [str(each) for each in (await diff(self.connection, one, other)).named]


@asynccontextmanager
async def place_of(settings: ProjectorSettings) -> AsyncIterator[Place]:
    """A place with these settings; its topics must be there."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        yield Place(settings, connection)
    finally:
        await connection.close()
