"""Where rebuilds are tested: a database, topics with a history, and rebuilds in this process."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from projector import jsonl
from projector.generations import rebuild, schema
from projector.generations.diff import Diff, diff
from projector.generations.plan import Options
from projector.generations.processes import Job
from projector.generations.progress import Progress
from projector.generations.rebuild import Work
from projector.operations.audit import audit
from projector.operations.export import export
from projector.settings import ProjectorSettings
from tests.command import Finished, environment
from tests.live import applied, produce, variables_of
from tests.reference import Record
from tests.stack.waiting import until

COMMAND = Path(sys.executable).with_name("runfold")


def unwatched(_: Progress) -> None:
    """Nobody watches a rebuild."""


async def in_process(jobs: Sequence[Job]) -> None:
    """Do the jobs of a rebuild here, where a test would only wait for processes to start."""
    doing = [asyncio.ensure_future(job(*arguments)) for job, arguments in jobs]
    try:
        await asyncio.gather(*doing)
    finally:
        for each in doing:
            each.cancel()
        await asyncio.gather(*doing, return_exceptions=True)


@dataclass(slots=True)
class Place:
    """One test's; `sent` counts the records that are in the topics."""

    settings: ProjectorSettings
    connection: asyncpg.Connection
    sent: int = 0

    @property
    def variables(self) -> dict[str, str]:
        """The settings as a command reads them."""
        return variables_of(self.settings)

    async def rebuild(self, name: str, work: Work = in_process, **given: object) -> Diff | None:
        """Make a generation."""
        return await rebuild.rebuild(self.settings, Options.asked_for(name, given), unwatched, work)

    async def resume(self, name: str, work: Work = in_process, **given: object) -> Diff | None:
        """Go on with a rebuild."""
        return await rebuild.resume(self.settings, name, unwatched, given, work)

    async def activate(self, name: str) -> bool:
        """Make a generation active that stands by."""
        return await rebuild.activate(self.settings, name)

    async def drop(self, name: str) -> None:
        """Drop a generation."""
        connection = await asyncpg.connect(self.settings.database_url)
        try:
            await schema.drop(connection, name)
        finally:
            await connection.close()

    async def states(self) -> dict[str, str]:
        """The state of each generation."""
        return {each.name: each.state for each in await schema.generations(self.connection)}

    async def known(self, name: str) -> schema.Generation:
        """What is known of one generation."""
        every = await schema.generations(self.connection)
        return next(each for each in every if each.name == name)

    async def export(self, path: Path) -> None:
        """Write all that the topics hold to a file."""
        with jsonl.writing(str(path)) as file:
            await export(self.settings, file)

    async def call(self, *arguments: str) -> Finished:
        """Run a command to its end."""
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
        """A command that goes on, its output in pipes."""
        return await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            env=environment(self.variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def active(self) -> str:
        """The active generation."""
        found = await self.connection.fetchval("SELECT name FROM runfold.active_generation")
        return str(found)

    async def send(self, records: Sequence[Record]) -> None:
        """Put records into the topics."""
        self.sent += await produce(self.settings, records)

    async def caught_up(self) -> None:
        """Return once the active generation accounts for all that was sent."""
        await self.connection.execute(f"SET search_path = g_{await self.active()}")
        await applied(self.connection, self.sent)

    async def is_sound(self) -> None:
        """The audit of the active generation finds nothing."""
        assert (await audit(self.connection)).faults == ()

    async def differences(self, one: str, other: str) -> list[str]:
        """In what two generations differ."""
        async with self.connection.transaction(isolation="repeatable_read"):
            return [str(each) for each in (await diff(self.connection, one, other)).named]

    async def phase(self, name: str, wanted: Sequence[str]) -> None:
        """Return once a rebuild is in one of these phases."""

        async def is_there() -> bool:
            try:
                found = await self.connection.fetchval(
                    "SELECT phase FROM runfold.rebuild WHERE generation = $1", name
                )
            except asyncpg.UndefinedTableError:
                return False
            return found in wanted

        await until(is_there, 60, f"rebuild {name} to be in {wanted}")


@asynccontextmanager
async def place_of(settings: ProjectorSettings) -> AsyncIterator[Place]:
    """A place with these settings; its topics must be there."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        yield Place(settings, connection)
    finally:
        await connection.close()
