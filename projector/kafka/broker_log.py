"""What the Kafka client and the framework say, taken as signs of one outage of the broker."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
)

from contracts.outage import Outage, pause

__all__ = ["CALM_SECONDS", "BrokerLog", "FrameworkLog", "Outage", "pause"]

CALM_SECONDS: Final = 5.0
"""How long the Kafka client must have had nothing to complain of before the broker is back: longer
than its heartbeats are apart, of which the first to a broker that has just started may fail."""

NO_OUTAGE: Final = (
    "rebalanc",
    "generation id",
    "member_id",
    "will rejoin",
    "finallization",
    "session expired",
    "arking the coordinator dead",
)
"""Words in aiokafka's warnings that tell of the group's ordinary life, or of what another warning
has just told."""


UNREADABLE: Final = (UnsupportedCodecError, CorruptRecordException)
"""Errors of the Kafka client that are of the records and stay, whatever becomes of the broker."""


REFUSED: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
"""Errors after which the client may ask no more, though what was refused is allowed again."""
AGAIN_SECONDS: Final = 15.0
"""Errors no further apart are one trouble: FastStream begins anew every five seconds."""
STUCK_SECONDS: Final = 60.0
"""How long the client may be refused before the worker ends."""


class BrokerLog(logging.Handler):
    """Takes aiokafka's warnings, which come once per retry, as signs of one outage."""

    def __init__(self, outage: Outage) -> None:
        super().__init__(logging.WARNING)
        self._outage = outage

    def emit(self, record: logging.LogRecord) -> None:
        """Count a warning towards the outage unless it is about the group's ordinary life."""
        message = record.getMessage()
        if not any(words in message for words in NO_OUTAGE):
            self._outage.failed(message)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Take the place of aiokafka's way to the log while the block runs."""
        aiokafka = logging.getLogger("aiokafka")
        before = aiokafka.handlers, aiokafka.propagate
        aiokafka.handlers, aiokafka.propagate = [self], False
        try:
            yield
        finally:
            aiokafka.handlers, aiokafka.propagate = before


class FrameworkLog:
    """What FastStream logs: errors of the network are the broker's, others are a defect.

    FastStream begins its loop anew after any error, and would do so for ever. So does the client
    with a refusal, which ends its heartbeats: one that stays is handed on, too.
    """

    def __init__(self, outage: Outage, defect: Callable[[Exception], None]) -> None:
        self._outage = outage
        self._defect = defect
        self._stuck_since = self._stuck_at = -math.inf

    def log(self, level: int, message: Any, /, *_: Any, exc_info: Any = None, **__: Any) -> None:
        """Count an error of the network towards the outage, hand on any other."""
        if level < logging.ERROR:
            return
        away = isinstance(exc_info, KafkaError | OSError) and not isinstance(exc_info, UNREADABLE)
        if isinstance(exc_info, Exception) and (not away or self._is_stuck(exc_info)):
            self._defect(exc_info)
        else:
            self._outage.failed(exc_info or message)

    def _is_stuck(self, error: Exception) -> bool:
        """Whether it has been refused again and again for long enough."""
        if not isinstance(error, REFUSED):
            return False
        now = time.monotonic()
        if now - self._stuck_at > AGAIN_SECONDS:
            self._stuck_since = now
        self._stuck_at = now
        return now - self._stuck_since >= STUCK_SECONDS
