"""What can befall workers, broker and database, each at an instant drawn from a seed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from projector.writing.batch import Partition
from tests.crash.site import Site
from tests.crash.workers import Fleet, Worker
from tests.kafka.server import KafkaServer
from tests.stack.servers import EmbeddedPostgres, MortalServer
from tests.stack.waiting import until

SIZE = 3
"""Workers there are when nothing has just happened."""

# A silent member is given up after its session timeout (10 s); the group then rebalances. What it
# held in the middle of a transaction is taken from it by `LONGEST_TRANSACTION`.
TAKEOVER_DEADLINE_S = 150.0

Mishap = Callable[[], Awaitable[None]]


class Mishaps:
    """Mishaps of one site; `kills` counts the workers killed while they had partitions."""

    def __init__(self, site: Site, fleet: Fleet, rng: Random) -> None:
        self.kills = 0
        self._site, self._fleet, self._rng = site, fleet, rng

    def all(self, postgres: EmbeddedPostgres, kafka: KafkaServer | None) -> list[Mishap]:
        """What happens to one site, each kind at least once, in an order of chance."""
        one, all_ = partial(self._kill, 1), partial(self._kill, SIZE)
        away = partial(self._outage, postgres)
        found: list[Mishap] = [one, all_, self._zombie]
        found += [
            partial(away, partial(postgres.stop, immediate=True)),
            partial(away, postgres.kill),
        ]
        if kafka is not None:
            found += [one] * 7 + [partial(self._kill, 2)] * 4 + [all_, self._zombie]
            found += [self._leave] * 3 + [self._join] * 2 + [partial(away, postgres.stop)]
            found += [partial(self._outage, kafka, kafka.stop)]
            found += [partial(self._outage, kafka, kafka.kill)] * 2
        return self._rng.sample(found, len(found))

    async def happen(self, mishap: Mishap) -> None:
        """Let this happen at some instant; see that work goes on after it.

        Now and then the next one does not wait for that.
        """
        await self._some_instant()
        await mishap()
        self._fleet.nobody_gave_up()
        if self._rng.random() < 0.7:
            await self._work_goes_on()

    async def _kill(self, number: int) -> None:
        for _ in range(number):
            victim = await self._at_work()
            await self._some_instant()
            victim.kill()
            self.kills += 1
        while len(self._fleet.running) < SIZE:
            self._fleet.start()

    async def _leave(self) -> None:
        leaving = await self._at_work()
        leaving.terminate()
        assert await leaving.ended(30) == 0
        if len(self._fleet.running) < SIZE:
            self._fleet.start()

    async def _join(self) -> None:
        """One more worker comes and takes its share; another one goes."""
        await self._fleet.start().assigned()
        await self._leave()

    async def _zombie(self) -> None:
        """A worker is put to sleep at work and wakes when its partitions are others'."""
        sleeper = await self._at_work()
        owned = await self._moving(sleeper)
        await self._some_instant()
        sleeper.process.suspend()

        async def taken_over() -> bool:
            others = {each.process.pid for each in self._fleet.running if each is not sleeper}
            return owned <= await self._site.owned_by(others)

        await until(taken_over, TAKEOVER_DEADLINE_S, "the sleeper's partitions to be taken over")
        await self._work_goes_on()
        sleeper.process.resume()

    async def _outage(self, server: MortalServer, stop: Callable[[], None]) -> None:
        async with away(server, stop):
            await self._some_instant()

    async def _at_work(self) -> Worker:
        def at_work() -> list[Worker]:
            return [each for each in self._fleet.running if each.lines("partitions assigned")]

        return self._rng.choice(await until(at_work, TAKEOVER_DEADLINE_S, "a worker at work"))

    async def _moving(self, worker: Worker) -> set[Partition]:
        """The worker's partitions, once it has moved some of them."""
        start = await self._site.positions()

        async def moved() -> set[Partition]:
            now = await self._site.positions()
            owned = await self._site.owned_by({worker.process.pid})
            return owned if any(now[at] > start.get(at, 0) for at in owned) else set()

        return await until(moved, TAKEOVER_DEADLINE_S, f"{worker.name} to move its partitions")

    async def _work_goes_on(self) -> None:
        await self._site.advance(self._rng.randint(1, 200), TAKEOVER_DEADLINE_S)

    async def _some_instant(self) -> None:
        """Waits for nothing in particular, which is the point of it."""
        await asyncio.sleep(self._rng.uniform(0, 0.7))


@asynccontextmanager
async def away(server: MortalServer, stop: Callable[[], None]) -> AsyncIterator[None]:
    await asyncio.to_thread(stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)
