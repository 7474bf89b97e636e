"""One batch subscriber over all topics: what FastStream and aiokafka are told, and what they tell.

FastStream runs the loop. What it would do about a failure is decided by its `Subscribed`: it would
go on with the next poll, we go back to the stored positions.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from contracts.topics import TOPICS, topic_name
from projector.kafka.broker_log import REFUSED, FrameworkLog, Outage
from projector.kafka.security import security
from projector.settings import ProjectorSettings
from projector.writing.batch import Partition

POLL_TIMEOUT_MS: Final = 10
METADATA_MS: Final = 10_000


class Subscribed(Protocol):
    """Whom a subscription tells of polls and of what the group has decided."""

    async def polls(self, drained: int) -> None:
        """Do what is to be done before the next poll, after so many that were to be handled."""

    async def drained(self, records: Any) -> KafkaMessage:
        """Return the message of a poll, as it is taken for `handle`."""

    async def handle(self, message: KafkaMessage) -> None:
        """Deal with one poll."""

    async def assigned(self, partitions: set[Partition]) -> None:
        """Take over partitions."""

    async def revoked(self, partitions: set[Partition]) -> None:
        """Give partitions up."""


def subscribe(
    settings: ProjectorSettings,
    subscribed: Subscribed,
    outage: Outage,
    given_up: Callable[[Exception], None],
) -> tuple[KafkaBroker, BatchSubscriber]:
    """Return the client, which joins the group when it is started, and its only subscriber.

    `outage` is told of a broker that is away, `given_up` of what the client does not get over.
    """
    broker = KafkaBroker(
        settings.kafka_bootstrap,
        client_id="runfold",
        consumer_only=True,
        allow_auto_create_topics=False,
        apply_types=False,
        # `Consumer.stop` has waited for the poll in hand before
        graceful_timeout=None,
        metadata_max_age_ms=METADATA_MS,
        logger=FrameworkLog(outage, given_up),
        security=security(settings),
    )
    subscriber = broker.subscriber(
        *(topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS),
        batch=True,
        group_id=settings.group_id,
        ack_policy=AckPolicy.MANUAL,
        # where we read is sought; this only says what is fetched before we have sought it
        auto_offset_reset="earliest",
        # what a producer has taken back never happened
        isolation_level="read_committed",
        batch_timeout_ms=POLL_TIMEOUT_MS,
        max_records=settings.poll_max_records,
        fetch_max_bytes=settings.poll_max_bytes,
        max_partition_fetch_bytes=max(65_536, settings.poll_max_bytes // 32),
        fetch_max_wait_ms=100,
        listener=_Listener(subscribed),
        parser=subscribed.drained,
        decoder=_undecoded,
    )
    subscriber(subscribed.handle)
    return broker, subscriber


class _Client(AIOKafkaConsumer):  # type: ignore[misc]
    """The client, which tells when it is polled."""

    def __init__(self, *topics: str, subscribed: Subscribed, **options: Any) -> None:
        super().__init__(*topics, **options)
        self._subscribed = subscribed
        self._drained = 0

    async def getmany(self, *partitions: Any, **options: Any) -> Any:
        await self._subscribed.polls(self._drained)
        self._drained += 1
        try:
            polled = await super().getmany(*partitions, **options)
        except REFUSED:
            # told instead of what was drained; any other error may have come in the middle of it
            self._drained -= 1
            raise
        self._drained -= not polled
        return polled


async def start(broker: KafkaBroker, subscribed: Subscribed) -> None:
    """Join the group and begin to poll. Raises KafkaError when the broker is away."""
    # FastStream tells of polls that bring records, one after the other, and of no others
    made = cast("partial[AIOKafkaConsumer]", await broker.connect())
    broker.config.broker_config.builder = partial(_Client, subscribed=subscribed, **made.keywords)
    await broker.start()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes the group's decisions on."""

    def __init__(self, subscribed: Subscribed) -> None:
        self._subscribed = subscribed

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        await self._subscribed.assigned({Partition(*each) for each in assigned})

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        await self._subscribed.revoked({Partition(*each) for each in revoked})


async def _undecoded(message: KafkaMessage) -> KafkaMessage:
    return message
