"""The worker's FastStream subscriber: one batch subscriber over all topics, acknowledged by hand.

FastStream polls, and hands each poll to the handler before it asks for the next.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.subscriber.usecase import BatchSubscriber

from contracts.topics import TOPICS, topic_name
from projector.kafka.security import security
from projector.settings import ProjectorSettings

POLL_TIMEOUT_MS: Final = 10
METADATA_MS: Final = 10_000


def subscribe(
    settings: ProjectorSettings,
    handle: Callable[[KafkaMessage], Awaitable[None]],
    listener: ConsumerRebalanceListener,
    failed: Callable[[Exception], None],
) -> tuple[KafkaBroker, BatchSubscriber]:
    """Return the broker, which joins the group when it is started, and its only subscriber.

    `failed` gets every error of the client that FastStream would only log before it polls again.
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
        logger=_Errors(failed),
        security=security(settings),
    )
    subscriber = broker.subscriber(
        *(topic_name(settings.topic_prefix, topic.suffix) for topic in TOPICS),
        batch=True,
        group_id=settings.group_id,
        ack_policy=AckPolicy.MANUAL,
        # the position is sought; this only says what is fetched before that
        auto_offset_reset="earliest",
        # an aborted transaction never happened
        isolation_level="read_committed",
        batch_timeout_ms=POLL_TIMEOUT_MS,
        max_records=settings.poll_max_records,
        fetch_max_bytes=settings.poll_max_bytes,
        max_partition_fetch_bytes=max(65_536, settings.poll_max_bytes // 32),
        fetch_max_wait_ms=100,
        listener=listener,
        parser=_parsed,
        decoder=_undecoded,
    )
    subscriber(handle)
    return broker, subscriber


async def _parsed(records: Any) -> KafkaMessage:
    # FastStream's own parser decodes headers as text and fails on those that are not
    return KafkaMessage(raw_message=records, body=b"", consumer=FAKE_CONSUMER)


async def _undecoded(message: KafkaMessage) -> KafkaMessage:
    return message


class _Errors:
    """FastStream's logger: passes errors on and drops the rest, which runfold logs itself."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed

    def log(self, level: int, *_: Any, exc_info: Any = None, **__: Any) -> None:
        """Pass on an error; being cancelled at the end is none."""
        if level >= logging.ERROR and isinstance(exc_info, Exception):
            self._failed(exc_info)
