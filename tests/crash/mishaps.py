"""What can befall workers, broker and database, each at an instant drawn from a seed."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from projector.writing.batch import Partition
from tests.crash.progress import advance, owned_by, positions
from tests.crash.site import Site
from tests.crash.workers import Fleet, Worker
from tests.kafka.server import KafkaServer
from tests.stack.servers import EmbeddedPostgres
from tests.stack.waiting import until

SIZE = 3
"""Workers there are when nothing has just happened."""

LEAVE_DEADLINE_S = 30.0
# A silent member is given up after its session timeout (10 s); the group then rebalances. What it
# held in the middle of a transaction is taken from it by `LONGEST_TRANSACTION`.
TAKEOVER_DEADLINE_S = 150.0


class Mishaps:
    """Mishaps of one site; `kills` counts the workers killed while they had partitions."""

    def __init__(
        self,
        site: Site,
        fleet: Fleet,
        rng: Random,
        postgres: EmbeddedPostgres,
        kafka: KafkaServer | None = None,
    ) -> None:
        self.kills = 0
        self._site = site
        self._fleet = fleet
        self._rng = rng
        self._postgres = postgres
        self._kafka = kafka

    async def happen(self, name: str) -> None:
        """Let the mishap of this name happen at some instant; see that work goes on after it.

        Now and then the next one does not wait for that.
        """
        await self._some_instant()
        await getattr(self, name)()
        self._fleet.nobody_gave_up()
        if self._rng.random() < 0.7:
            await advance(self._site, self._rng.randint(1, 200), TAKEOVER_DEADLINE_S)

    async def kill_one(self) -> None:
        await self._kill(1)

    async def kill_two(self) -> None:
        await self._kill(2)

    async def kill_all(self) -> None:
        await self._kill(SIZE)

    async def leave(self) -> None:
        """A worker is asked to go; another comes."""
        leaving = await self._at_work()
        leaving.terminate()
        assert await leaving.ended(LEAVE_DEADLINE_S) == 0
        self._fleet.start()

    async def join(self) -> None:
        """One more worker comes and takes its share; another one goes."""
        newcomer = self._fleet.start()
        await newcomer.assigned()
        leaving = await self._at_work()
        leaving.terminate()
        assert await leaving.ended(LEAVE_DEADLINE_S) == 0

    async def zombie(self) -> None:
        """A worker is put to sleep at work and wakes when its partitions are others'."""
        sleeper = await self._at_work()
        # What it may hold is taken from it before the deadline: see `projector.bootstrap`.
        owned = await self._moving(sleeper)
        await self._some_instant()
        sleeper.pause()

        async def taken_over() -> bool:
            others = {worker.pid for worker in self._fleet.running if worker is not sleeper}
            return owned <= await owned_by(self._site, others)

        await until(taken_over, TAKEOVER_DEADLINE_S, "the sleeper's partitions to be taken over")
        await advance(self._site, self._rng.randint(1, 200), TAKEOVER_DEADLINE_S)
        sleeper.resume()

    async def postgres_stop(self) -> None:
        await self._outage(self._postgres.stop, self._postgres.start)

    async def postgres_immediate(self) -> None:
        await self._outage(partial(self._postgres.stop, immediate=True), self._postgres.start)

    async def postgres_kill(self) -> None:
        await self._outage(self._postgres.kill, self._postgres.start)

    async def kafka_stop(self) -> None:
        assert self._kafka is not None
        await self._outage(self._kafka.stop, self._kafka.start)

    async def kafka_kill(self) -> None:
        assert self._kafka is not None
        await self._outage(self._kafka.kill, self._kafka.start)

    async def _kill(self, number: int) -> None:
        for _ in range(number):
            victim = await self._at_work()
            await self._some_instant()
            victim.kill()
            self.kills += 1
        while len(self._fleet.running) < SIZE:
            self._fleet.start()

    async def _at_work(self) -> Worker:
        """A worker that has got partitions since it started."""
        found = await until(
            lambda: [each for each in self._fleet.running if each.lines("partitions assigned")],
            TAKEOVER_DEADLINE_S,
            "a worker to be at work",
        )
        return self._rng.choice(found)

    async def _moving(self, worker: Worker) -> set[Partition]:
        """The worker's partitions, once it has moved some of them."""
        start = await positions(self._site)

        async def moved() -> set[Partition]:
            now = await positions(self._site)
            owned = await owned_by(self._site, {worker.pid})
            return owned if any(now[at] > start.get(at, 0) for at in owned) else set()

        return await until(moved, TAKEOVER_DEADLINE_S, f"{worker.name} to move its partitions")

    async def _outage(self, stop: Callable[[], None], start: Callable[[], None]) -> None:
        await asyncio.to_thread(stop)
        await self._some_instant()
        await asyncio.to_thread(start)

    async def _some_instant(self) -> None:
        """Waits for nothing in particular, which is the point of it."""
        await asyncio.sleep(self._rng.uniform(0, 0.7))
