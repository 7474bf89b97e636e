"""Workers as processes of their own: started, stopped, killed, put to sleep."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from projector.demo.process import Watchdog
from tests.command import environment
from tests.crash.site import Site
from tests.crash.traffic import Traffic, traffic
from tests.stack.waiting import until

RUNFOLD = Path(sys.executable).with_name("runfold")


class Worker:
    """One `runfold projector`, from its start to its end; it never outlives the tests."""

    def __init__(self, site: Site, name: str) -> None:
        self.name = name
        self.log = site.directory / f"{name}.log"
        scratch = site.directory / f"{name}.alive"
        scratch.mkdir()
        self._watchdog = Watchdog(scratch)
        self.asked = False
        """Whether it was told to end."""
        command, env = [str(RUNFOLD), "projector"], environment(site.variables)
        none = subprocess.DEVNULL
        with self.log.open("wb") as log:
            self.process = psutil.Popen(
                command, env=env, stdin=none, stdout=none, stderr=log, start_new_session=True
            )
        self._watchdog.guard(self.process.pid)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def lines(self, words: str = "") -> list[dict[str, Any]]:
        """What it has logged so far, complete lines whose message holds these words."""
        written = self.log.read_bytes().splitlines(keepends=True)
        told = [json.loads(line) for line in written if line[:1] == b"{" and line[-1:] == b"\n"]
        return [line for line in told if words in line["message"]]

    async def logged(self, words: str, times: int = 1) -> None:
        await until(lambda: len(self.lines(words)) >= times, 60, f"{self.name} to log {words!r}")

    async def assigned(self) -> None:
        await self.logged("partitions assigned")

    def terminate(self) -> None:
        """SIGTERM: what an operator's stop sends."""
        self.asked = True
        self.process.terminate()

    async def ended(self, deadline_s: float) -> int:
        await until(lambda: not self.runs, deadline_s, f"{self.name} to end")
        return int(self.process.wait())

    def kill(self) -> None:
        """SIGKILL, as out of memory does; returns once it is gone."""
        self.asked = True
        if self.runs:
            self.process.kill()
            self.process.wait()
        self._watchdog.close()


class Fleet:
    def __init__(self, site: Site) -> None:
        self.members: list[Worker] = []
        self._site = site

    def start(self) -> Worker:
        worker = Worker(self._site, f"worker-{len(self.members) + 1}")
        self.members.append(worker)
        return worker

    @property
    def running(self) -> list[Worker]:
        return [worker for worker in self.members if worker.runs]

    def nobody_gave_up(self) -> None:
        """No worker has ended but by being asked to or killed."""
        given_up = [each for each in self.members if not each.runs and not each.asked]
        assert not given_up, [(each.name, each.lines()[-3:]) for each in given_up]

    async def logged(self, words: str, times: int = 1) -> None:
        for worker in self.members:
            await worker.logged(words, times)

    async def dismiss(self) -> None:
        """Ask all that run to end, once each is at work, and see that they do."""
        self.nobody_gave_up()
        leaving = self.running
        for worker in leaving:
            await worker.assigned()
        for worker in leaving:
            worker.terminate()
        statuses = {worker.name: await worker.ended(30) for worker in leaving}
        assert set(statuses.values()) <= {0}, statuses


@asynccontextmanager
async def at_work(site: Site, seed: int, size: int = 1) -> AsyncIterator[tuple[Traffic, Fleet]]:
    """A producer, and workers in one group, while the block runs; what is left is killed."""
    fleet = Fleet(site)
    try:
        for _ in range(size):
            fleet.start()
        async with traffic(site, seed) as producer:
            yield producer, fleet
    finally:
        for worker in fleet.members:
            worker.kill()
