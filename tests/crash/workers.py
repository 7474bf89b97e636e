"""Workers as processes of their own: started, stopped, killed, put to sleep."""

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from projector.demo.process import Watchdog
from tests.crash.site import Site
from tests.stack.waiting import until

RUNFOLD = Path(sys.executable).with_name("runfold")
ASSIGN_DEADLINE_S = 60.0


class Worker:
    """One `runfold projector`, from its start to its end; it never outlives the tests."""

    def __init__(self, site: Site, name: str, **settings: str) -> None:
        self.name = name
        self.log = site.directory / f"{name}.log"
        scratch = site.directory / f"{name}.alive"
        scratch.mkdir()
        self._watchdog = Watchdog(scratch)
        self._asked = False
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [RUNFOLD, "projector"],
                env=site.environment | settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self._watchdog.guard(self._process.pid)

    @property
    def pid(self) -> int:
        """Its process id, for good."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, the negative number of the signal that killed it, None while it runs."""
        return self._process.poll()

    def lines(self, words: str = "") -> list[dict[str, Any]]:
        """What it has logged so far, complete lines whose message holds these words."""
        written = self.log.read_bytes().splitlines(keepends=True)
        told = [json.loads(line) for line in written if line[:1] == b"{" and line[-1:] == b"\n"]
        return [line for line in told if words in line["message"]]

    def last_words(self) -> list[str]:
        """What it has written besides its log lines."""
        return [line for line in self.log.read_text().splitlines() if not line.startswith("{")]

    async def assigned(self) -> None:
        """Return once it has got partitions."""
        await until(
            lambda: self.lines("partitions assigned"), ASSIGN_DEADLINE_S, f"{self.name} to begin"
        )

    def talks_to(self, address: str) -> bool:
        """Whether it has a connection to this `host:port`."""
        connections = psutil.Process(self.pid).net_connections(kind="tcp")
        peers = {f"{each.raddr.ip}:{each.raddr.port}" for each in connections if each.raddr}
        return address in peers

    @property
    def gave_up(self) -> bool:
        """Whether it has ended though nobody asked it to."""
        return self.status is not None and not self._asked

    def terminate(self) -> None:
        """SIGTERM: what an operator's stop sends."""
        self._asked = True
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, deadline_s: float) -> int:
        """Its exit status, once it has ended."""
        await until(lambda: self.status is not None, deadline_s, f"{self.name} to end")
        return self._gone()

    def kill(self) -> None:
        """SIGKILL, as out of memory does; returns once it is gone."""
        self._asked = True
        self._process.kill()
        self._gone()

    def pause(self) -> None:
        """SIGSTOP: alive to the machine, dead to everybody else."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on as if nothing had happened."""
        self._process.send_signal(signal.SIGCONT)

    def _gone(self) -> int:
        status = self._process.wait()
        self._watchdog.close()
        return status


class Fleet:
    """The workers of one test."""

    def __init__(self, site: Site, **settings: str) -> None:
        self.members: list[Worker] = []
        self._site = site
        self._settings = settings
        self._numbers = itertools.count(1)

    def start(self) -> Worker:
        """Start another worker."""
        worker = Worker(self._site, f"worker-{next(self._numbers)}", **self._settings)
        self.members.append(worker)
        return worker

    @property
    def running(self) -> list[Worker]:
        """Those that have not ended."""
        return [worker for worker in self.members if worker.status is None]

    def nobody_gave_up(self) -> None:
        """No worker has ended but by being asked to or killed."""
        given_up = {worker.name: worker.lines()[-3:] for worker in self.members if worker.gave_up}
        assert not given_up, f"ended by themselves: {given_up}"

    async def dismiss(self) -> None:
        """Ask all that run to end, once each is at work, and see that they do."""
        leaving = self.running
        for worker in leaving:
            await worker.assigned()
        for worker in leaving:
            worker.terminate()
        statuses = {worker.name: await worker.ended(30) for worker in leaving}
        assert set(statuses.values()) <= {0}, statuses

    def kill_all(self) -> None:
        """Leave none behind."""
        for worker in self.members:
            worker.kill()


@contextmanager
def fleet_of(size: int, site: Site, **settings: str) -> Iterator[Fleet]:
    """Workers in one group while the block runs; what is left is killed."""
    fleet = Fleet(site, **settings)
    try:
        for _ in range(size):
            fleet.start()
        yield fleet
    finally:
        fleet.kill_all()
