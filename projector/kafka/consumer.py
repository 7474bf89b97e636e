"""The worker's Kafka side: polls are applied as they come, partitions are sought where needed.

It is always in one of two states. Applying: each poll starts at the position of each of its
partitions and is written before the next is asked for. Seeking: after a rebalance, a conflict, an
outage of the database, another active generation or a hole in the offsets, the stored positions are
read and the client is sent there. What is fetched twice is passed over by its offset.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
)
from faststream.kafka import KafkaMessage

from contracts.errors import OperationError
from contracts.health import Stopping, pause
from projector.dependencies import Dependencies
from projector.errors import PositionConflict
from projector.generations.activation import ActiveGenerationChanged, Target
from projector.kafka.seeking import TO_CHECK, Rest, Seeker, rests
from projector.kafka.subscription import subscribe
from projector.operations.metrics import Metrics, PolledRecord
from projector.settings import ProjectorSettings
from projector.writing.applying import Applier, slices
from projector.writing.batch import Partition

if TYPE_CHECKING:
    from projector.operations.tracing import Tracing

REVOCATION_SECONDS: Final = 5.0
SHUTDOWN_SECONDS: Final = 30.0
"""How long a worker that is asked to stop may take to finish the poll in hand."""
LEAVE_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 1.0
COMMIT_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 5.0
"""How long the broker may answer no fetch before it counts as away."""

UNREADABLE: Final = (UnsupportedCodecError, CorruptRecordException)
"""Errors of the client that a record's bytes cause, and no wait cures."""
REFUSED: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
"""Errors after which the client stops to ask, even when it would be allowed again."""


def is_outage(error: Exception) -> bool:
    """Return whether an error of the client means that the broker is away, and will be back."""
    return isinstance(error, KafkaError | OSError) and not isinstance(error, UNREADABLE + REFUSED)


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One worker's subscription: hands every poll to the applier, one at a time."""

    def __init__(
        self,
        settings: ProjectorSettings,
        applier: Applier,
        dependencies: Dependencies,
        *,
        metrics: Metrics,
        tracing: "Tracing | None" = None,
    ) -> None:
        self.failure: Exception | None = None
        """What ended the worker, when it was neither a record nor a dependency."""
        self._settings = settings
        self._applier = applier
        self._seeker = Seeker(dependencies)
        self._dependencies = dependencies
        self._metrics = metrics
        self._tracing = tracing
        self._turn = asyncio.Lock()
        self._handled_at = self._failed_at = time.time()
        self._ended = False
        self._committed: dict[TopicPartition, int] = {}
        self._rests: dict[Partition, Rest] = {}
        self._log = structlog.get_logger("runfold")
        self._broker, self._subscriber = subscribe(settings, self.handle, self, self._client_failed)

    @property
    def kafka(self) -> AIOKafkaConsumer:
        """The client below the subscription; only while it runs."""
        return self._subscriber.consumer

    async def start(self) -> None:
        """Join the group and begin to poll. Raises KafkaError when the broker is away."""
        await self._broker.start()

    async def stop(self) -> None:
        """Finish the poll in hand, if the time there is suffices, and leave the group.

        A poll that is given up has written nothing: the next worker reads it again.
        """
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS), self._turn:
                self._ended = True
        except TimeoutError:
            self._ended = True
            self._log.warning("the poll in hand is given up: it took too long to finish")
        if self.kafka is not None:
            await self._commit()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._broker.stop()
        except TimeoutError:
            self._log.warning("the group was not left in time: it will notice by itself")

    # -- applying

    async def handle(self, message: KafkaMessage) -> None:
        """Apply one poll: every record of it will be durable, or will be fetched again."""
        async with self._turn:
            if not self._ended:
                await self._guarded(self._poll(message.raw_message))
            self._handled_at = time.time()

    async def _poll(self, records: Sequence[PolledRecord]) -> None:
        if self._tracing is None:
            await self._apply(records)
            return
        with self._tracing.poll(records):
            await self._apply(records)

    async def _apply(self, records: Sequence[PolledRecord]) -> None:
        positions = self._applier.positions
        self._seeker.check_log(self.kafka, records, positions)
        out_of_sequence = self._seeker.out_of_sequence(records, positions)
        if out_of_sequence:
            await self._seek(out_of_sequence)
            records = [r for r in records if Partition(r.topic, r.partition) not in out_of_sequence]
        started = time.perf_counter()
        await self._applier.apply(slices(records, self._settings.poll_max_bytes))
        self._metrics.polled(records, time.perf_counter() - started)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Do work on the views; seek where it says so, end the worker on what nobody expects."""
        try:
            try:
                await work
            except PositionConflict as conflict:
                self._log.info("partitions are sought again", reason=str(conflict))
                await self._seek(self._ours())
            except ActiveGenerationChanged as change:
                self._log.info("another generation is active", generation=change.name)
                await self._seek(self._ours())
        except Stopping:
            return
        except Exception as error:  # noqa: BLE001 - FastStream would log it and poll again
            self._fail(error)

    # -- seeking

    async def _seek(self, partitions: Iterable[Partition]) -> None:
        """Go to the stored positions of those partitions that are ours."""
        wanted = self._ours().intersection(partitions)
        while True:
            try:
                found = await self._seeker.seek(self.kafka, wanted, self._applier.target)
            except ActiveGenerationChanged as change:
                self._applier.target = Target(change.name)
                wanted = self._ours()
            else:
                self._applier.positions |= found
                return

    async def _seek_elsewhere(self) -> None:
        before = {**self._applier.positions}
        await self._seek(self._ours())
        if before != self._applier.positions:
            self._log.info("the database stands elsewhere than before")

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Take over partitions."""
        async with self._turn:
            self._applier.positions.clear()
            self._committed = {}
            await self._guarded(self._seek(Partition(*each) for each in assigned))
            # nothing of a new assignment has been fetched yet
            self._handled_at = time.time()
        self._log.info("partitions assigned", partitions=len(assigned))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Give partitions up: after the poll in hand, if that does not take too long.

        A poll that is written later all the same is written only if nobody else has moved the
        partition: waiting here spares a conflict and guards nothing.
        """
        try:
            async with asyncio.timeout(REVOCATION_SECONDS), self._turn:
                if revoked:
                    await self._commit()
        except TimeoutError:
            self._log.info("partitions are given up with a poll in hand")
        for partition in revoked:
            self._applier.positions.pop(Partition(*partition), None)

    def _ours(self) -> set[Partition]:
        return {Partition(*each) for each in self.kafka.assignment()}

    # -- once a second

    async def watch(self) -> None:
        """Look after what no poll shows, once a second until the worker stops.

        Whether the broker answers; offsets to commit; the lag; partitions at rest; and the stored
        positions after an outage of the database, which may come back as another one (restored
        from a backup, a standby).
        """
        database = self._dependencies.database
        outages = database.ended
        while not self._dependencies.stopping.is_set():
            await pause(self._dependencies.stopping, WATCH_SECONDS)
            if self._ended:
                return
            await self._check_broker()
            if self._ended or self._dependencies.stopping.is_set():
                return
            await self._commit()
            self._metrics.assess(self.kafka, self.read_to())
            try:
                # a poll in hand may wait for the database for as long as it is away
                await asyncio.wait_for(self._turn.acquire(), WATCH_SECONDS)
            except TimeoutError:
                continue
            try:
                if self._ended:
                    return
                if outages != database.ended:
                    outages = database.ended
                    await self._guarded(self._seek_elsewhere())
                await self._check_rests()
            finally:
                self._turn.release()

    async def _check_broker(self) -> None:
        """Tell from the answers to fetches whether the broker is there."""
        broker, now = self._dependencies.broker, time.time()
        assigned = self.kafka.assignment()
        if not assigned:
            # nothing is fetched then
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    await self.kafka.topics()
            except (KafkaError, TimeoutError) as error:
                broker.failed(error)
            else:
                broker.over()
            return
        answered = max(self.kafka.last_poll_timestamp(each) or 0 for each in assigned) / 1000
        if broker.is_on:
            if answered > self._failed_at:
                broker.over()
        # while a poll is written nothing is fetched into full buffers
        elif not self._turn.locked() and now - max(answered, self._handled_at) > SILENT_SECONDS:
            self._client_failed(f"no answer for {SILENT_SECONDS:g} s")

    def _client_failed(self, error: Exception | str) -> None:
        """Note that the broker is away, or end the worker where the client cannot recover."""
        if isinstance(error, str) or is_outage(error):
            self._failed_at = time.time()
            self._dependencies.broker.failed(error)
            return
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
        """End the worker, unless it is about to end already: the first cause counts."""
        self._ended = True
        self.failure = self.failure or error
        self._dependencies.stopping.set()

    async def _commit(self) -> None:
        """Commit the positions to Kafka, for lag tools: nothing of ours reads them."""
        assigned = self.kafka.assignment()
        offsets = {
            TopicPartition(*partition): position
            for partition, position in self._applier.positions.items()
            if TopicPartition(*partition) in assigned
        }
        if not offsets or offsets == self._committed:
            return
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self.kafka.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._log.debug("offsets were not committed to Kafka", error=str(error))
        else:
            self._committed = offsets

    async def _check_rests(self) -> None:
        """Read once more what the client has passed at a log's end without delivering a record.

        A poll that failed halfway may have lost records there. What is delivered neither time
        holds no record (a transaction's markers, an aborted transaction): the worker is not behind.
        """
        known, self._rests = (
            self._rests,
            rests(self._rests, self._applier.positions, await self._client_positions()),
        )
        for partition, rest in self._rests.items():
            at = TopicPartition(*partition)
            is_due = rest.times == TO_CHECK and known[partition].times < TO_CHECK
            if is_due and at in self.kafka.assignment():
                self.kafka.seek(at, rest.position)

    async def _client_positions(self) -> dict[Partition, int]:
        """Return the offsets the client will deliver next, where it knows them by itself."""
        found = {}
        for partition, position in [*self._applier.positions.items()]:
            at = TopicPartition(*partition)
            if at in self.kafka.assignment() and self.kafka.highwater(at) != position:
                try:
                    async with asyncio.timeout(0):
                        found[partition] = await self.kafka.position(at)
                except (KafkaError, TimeoutError):
                    continue
        return found

    def read_to(self) -> dict[Partition, int]:
        """Return for each partition the offset before which nothing is unread."""
        return {
            partition: rest.to
            if (rest := self._rests.get(partition)) is not None
            and rest.position == position
            and rest.times > TO_CHECK
            else position
            for partition, position in self._applier.positions.items()
        }
