"""The worker's Kafka side: what becomes of polls, and of partitions that come and go."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from faststream.kafka import KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from contracts.errors import OperationError
from projector.dependencies import Dependencies, Stopping
from projector.errors import PositionConflict
from projector.generations.activation import ActiveGenerationChanged, Target
from projector.kafka.broker_log import REFUSED, pause
from projector.kafka.committing import Commits
from projector.kafka.seeking import Seeker
from projector.kafka.subscription import start, subscribe
from projector.kafka.trailing import Found, Trailing
from projector.operations.metrics import Metrics, PolledRecord
from projector.settings import ProjectorSettings
from projector.writing.applying import Applier, slices
from projector.writing.batch import Partition, by_partition

if TYPE_CHECKING:
    from projector.operations.tracing import Tracing

REVOCATION_SECONDS: Final = 5.0
SHUTDOWN_SECONDS: Final = 30.0
"""How long a worker that is asked to stop may take to finish the poll in hand."""
LEAVE_SECONDS: Final = 5.0
OUTAGE_SECONDS: Final = 1.0
"""How long after an outage its end is noticed at the latest."""
BACKLOG: Final = 1_000
"""Waiting records from which on the next poll is decoded while one is being written."""
SEEKS: Final = "seeks"
"""Under which a poll says how often partitions had been sought when it was drained."""


class Consumer:
    """One worker's subscription: hands every poll to the applier, in turn."""

    def __init__(
        self,
        settings: ProjectorSettings,
        applier: Applier,
        seeker: Seeker,
        dependencies: Dependencies,
        *,
        metrics: Metrics,
        tracing: "Tracing | None" = None,
    ) -> None:
        self.failure: Exception | None = None
        """What ended the worker, when it was neither a record nor a dependency."""
        self._settings = settings
        self._applier = applier
        self._seeker = seeker
        self._dependencies = dependencies
        self._metrics = metrics
        self._tracing = tracing
        self._turn = asyncio.Lock()
        self._ended = False
        self._log = structlog.get_logger("runfold")
        self._commits = Commits(applier)
        self._trailing = Trailing(applier)
        self._seeks = self._handled = 0
        self._watches: set[asyncio.Task[None]] = set()
        self._broker, self._subscriber = subscribe(
            settings, self, dependencies.broker, self._given_up
        )

    @property
    def kafka(self) -> AIOKafkaConsumer:
        """The client below the subscription; only while it runs."""
        return self._subscriber.consumer

    async def start(self) -> None:
        """Join the group and begin to poll. Raises KafkaError when the broker is away."""
        await start(self._broker, self)

    async def stop(self) -> None:
        """Finish the poll in hand, if the time there is suffices, and leave the group.

        What is given up has written nothing: whoever takes over does it again.
        """
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS), self._turn:
                self._ended = True
                await self._applier.finished()
                await self._guarded(self._applier.settled())
        except TimeoutError:
            self._ended = True
            self._applier.give_up()
            self._log.warning("the poll in hand is given up: it took too long to finish")
        if self.kafka is not None:
            await self._commits.now(self.kafka)
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._broker.stop()
        except TimeoutError:
            self._log.warning("the group is not left in time: it will notice by itself")

    async def polls(self, drained: int) -> None:
        """Pass over what is no record where partitions have come to rest.

        What was drained and never came to us (something has failed in between) is sought.
        """
        if drained != self._handled:
            async with self._turn:
                self._handled = drained
                if not self._is_stopping:
                    await self._guarded(self._seek(self._ours()))
        seeks = self._seeks
        found = None if self._is_stopping else await self._trailing.look(self.kafka)
        if found is not None:
            async with self._turn:
                if seeks == self._seeks and not self._is_stopping:
                    await self._guarded(self._pass_over(found))

    async def _pass_over(self, found: Found) -> None:
        await self._applier.settled()
        await self._trailing.pass_over(self.kafka, found.held)
        self._commits.soon(self.kafka)
        if found.dropped:
            await self._seek(found.dropped)

    @property
    def _is_stopping(self) -> bool:
        """Whether polls may be given up, so that not all that was delivered is dealt with."""
        return self._ended or self._dependencies.stopping.is_set()

    async def handle(self, message: KafkaMessage) -> None:
        """Apply one poll: every record of it will be durable, or will be fetched again.

        Where many more are waiting, the end of it may still be being written afterwards.
        """
        records: Sequence[PolledRecord] = message.raw_message
        async with self._turn:
            if self._ended:
                return
            if message.headers[SEEKS] == self._seeks:
                await self._guarded(self._poll(records))
            else:
                # what was drained before a seek does not follow on from where we have gone back
                # to; of partitions that were not sought then it would not come again either
                await self._guarded(self._seek({each for each, _ in by_partition(records)}))
        self._handled += 1

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Do work of the applier; go back to the stored positions where it says so."""
        try:
            await self._work_or_seek(work)
        except Stopping:
            return
        except Exception as error:  # noqa: BLE001 - FastStream would swallow it and go on
            self._fail(error)

    async def _work_or_seek(self, work: Awaitable[None]) -> None:
        try:
            await work
        except PositionConflict as conflict:
            self._log.info("partitions are sought again", reason=str(conflict))
            await self._seek(self._ours())
        except ActiveGenerationChanged as change:
            self._log.info("another generation is active", generation=change.name)
            self._applier.positions.clear()
            await self._seek(self._ours())

    async def _poll(self, records: Sequence[PolledRecord]) -> None:
        if self._tracing is None:
            await self._apply(records)
            return
        with self._tracing.poll(records):
            await self._apply(records)
            # a trace tells when events were visible
            await self._applier.settled()

    async def _apply(self, records: Sequence[PolledRecord]) -> None:
        positions = self._applier.ahead
        self._seeker.check_log(self.kafka, records, positions)
        astray = self._seeker.astray(records, positions)
        if astray:
            await self._applier.settled()
            await self._seek(astray)
            records = [r for r in records if Partition(r.topic, r.partition) not in astray]
        started = time.perf_counter()
        writing = await self._applier.apply_all(slices(records, self._settings.poll_max_bytes))
        if writing is not None:
            watch = asyncio.create_task(self._watched(writing, records, started))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)
        if self._seeker.waiting(self.kafka, self._applier.ahead) < BACKLOG:
            # what comes during the write is one poll then; drained now, the next would take the
            # few records there are, and those after them would wait for two transactions
            await self._applier.settled()

    async def _watched(
        self, writing: asyncio.Task[None], records: Sequence[PolledRecord], started: float
    ) -> None:
        """Wait for the last write of a poll, after which all its records are durable.

        A failure is dealt with here if no other poll comes, which would meet it first.
        """
        await asyncio.wait({writing})
        if writing.cancelled() or writing.exception() is not None:
            async with self._turn:
                if not self._ended:
                    await self._guarded(self._applier.settled())
            return
        await self._guarded(self._durable(records, started))

    async def _durable(self, records: Sequence[PolledRecord], started: float) -> None:
        self._metrics.polled(records, time.perf_counter() - started)
        if not self._ended:
            self._commits.soon(self.kafka)

    async def drained(self, records: Any) -> KafkaMessage:
        """Return the message of a poll, as FastStream takes it for `handle`."""
        # FastStream's own parser reads headers as text and fails on those that are none
        seeks = {SEEKS: self._seeks}
        return KafkaMessage(raw_message=records, body=b"", headers=seeks, consumer=FAKE_CONSUMER)

    def _given_up(self, error: Exception) -> None:
        """End the worker: the client below cannot go on."""
        what = f"{type(error).__name__}: {error}"
        if isinstance(error, REFUSED):
            message = (
                f"the Kafka client does not go on after {what}: mend what it says"
                " (permissions of the group or its topics?) and start the worker again"
            )
        else:
            places = ", ".join(
                f"{at.topic}[{at.partition}] {position}"
                for at, position in sorted(self._applier.positions.items())
            )
            message = (
                f"the Kafka client cannot read a record at one of these positions: {places}: {what}"
            )
        failure = OperationError(message)
        failure.__cause__ = error
        self._fail(failure)

    def _fail(self, error: Exception) -> None:
        """End the worker, if it is not about to end already: the first cause counts."""
        self._ended = True
        self.failure = self.failure or error
        self._applier.positions.clear()
        self._dependencies.stopping.set()

    async def _seek(self, partitions: Iterable[Partition]) -> None:
        """Go to the stored positions of those partitions that are ours, whatever we believed."""
        await self._applier.finished()
        self._applier.positions |= await self._sought(self._ours().intersection(partitions))

    async def keep_sought(self) -> None:
        """Go back to the stored positions after each outage of the database, until we stop.

        What answers then may stand elsewhere (restored from a backup, a standby), which nobody
        notices of a partition that nothing more comes to.
        """
        database, known = self._dependencies.database, self._dependencies.database.ended
        while not self._dependencies.stopping.is_set():
            await pause(self._dependencies.stopping, OUTAGE_SECONDS)
            if known == database.ended:
                continue
            known = database.ended
            async with self._turn:
                await self._applier.finished()
                if not self._ended:
                    await self._guarded(self._seek_those_elsewhere())

    async def _seek_those_elsewhere(self) -> None:
        applier = self._applier
        elsewhere = await self._seeker.elsewhere(applier.positions, applier.target)
        if elsewhere:
            self._log.info("the database stands elsewhere than before", partitions=len(elsewhere))
            await self._seek(elsewhere)

    def _ours(self) -> set[Partition]:
        return {Partition(*each) for each in self.kafka.assignment()}

    async def _sought(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Seek partitions to where the generation stands that is to be written."""
        while True:
            try:
                found = await self._seeker.seek(self.kafka, partitions, self._applier.target)
            except ActiveGenerationChanged as change:
                # positions kept from the one before conflict when they are used, and are sought
                self._applier.target = Target(change.name)
            else:
                self._seeks += 1
                return found

    async def assigned(self, partitions: set[Partition]) -> None:
        """Take over partitions."""
        async with self._turn:
            await self._applier.finished()
            try:
                found = await self._sought(partitions)
            except Stopping:
                return
            except Exception as error:  # noqa: BLE001 - aiokafka would swallow it and go on
                self._fail(error)
                return
            self._applier.positions = found
        self._log.info("partitions assigned", partitions=len(partitions))

    async def revoked(self, partitions: set[Partition]) -> None:
        """Give partitions up: after the poll in hand, if that does not take too long.

        A poll that is written later all the same is written only if nobody else has moved the
        partition, so that waiting here spares a conflict and guards nothing.
        """
        try:
            async with asyncio.timeout(REVOCATION_SECONDS), self._turn:
                await self._applier.finished()
                if self.kafka is not None and partitions:
                    await self._commits.now(self.kafka)
        except TimeoutError:
            self._log.info("partitions are given up with a poll in hand")
        for partition in partitions:
            self._applier.positions.pop(partition, None)
