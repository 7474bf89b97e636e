"""What a worker measures of itself, and the port it is read at."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import start_http_server

from contracts.decoding import Reason
from contracts.errors import SettingError
from contracts.health import Outage
from contracts.metrics import ProjectorMetrics
from contracts.settings import variable
from projector.writing.batch import Batch, Partition, Record, by_partition

MILLISECONDS: Final = 1_000

OUTCOMES: Final = ("applied", "dead", "tombstone", "gap")
"""What may become of a record, in the order in which a move counts it."""


class PolledRecord(Record, Protocol):
    """A record as the broker delivers it."""

    timestamp: int
    """When it was made or stored, in milliseconds since 1970."""


class Metrics(ProjectorMetrics):
    """The metrics of one worker, and how they are taken."""

    def __init__(self, *outages: Outage) -> None:
        super().__init__(*outages)
        # A series that begins with its first event shows no increase by it.
        for reason in Reason:
            self.dead_letters.labels(reason.value)
        self._assigned: dict[Partition, float] = {}
        self._newest: dict[Partition, float] = {}

    def committed(self, batch: Batch) -> None:
        """Count what became of the records of a batch that is durable now."""
        for partition, move in batch.moves.items():
            counts = move.applied, move.dead, move.tombstones, move.gaps
            for outcome, count in zip(OUTCOMES, counts, strict=True):
                if count:
                    self.records.labels(partition.topic, outcome).inc(count)
        for letter in batch.dead:
            self.dead_letters.labels(letter.why.reason.value).inc()

    def polled(self, records: Sequence[PolledRecord], seconds: float) -> None:
        """Observe a poll whose records are all durable now, and how long they took."""
        first: dict[Partition, int] = {}
        for partition, some in by_partition(records):
            timestamps = [record.timestamp for record in some]
            first.setdefault(partition, timestamps[0])
            self._newest[partition] = timestamps[-1] / MILLISECONDS
        now = time.time()
        for partition, timestamp in first.items():
            age = max(0.0, now - timestamp / MILLISECONDS)
            self.freshness.labels(partition.topic).observe(age)
        self.poll_records.observe(len(records))
        self.poll_seconds.observe(seconds)

    def assess(self, kafka: AIOKafkaConsumer, read_to: Mapping[Partition, int]) -> None:
        """Set the lag of the partitions this worker has, and forget that of others.

        Nothing before the offset in `read_to` is unread.
        """
        assigned = {Partition(*each) for each in kafka.assignment()}
        for partition in self._assigned.keys() - assigned:
            self._forget(partition)
        for partition in assigned - self._assigned.keys():
            self._expect(partition)
        for partition in assigned & read_to.keys():
            self._assess(kafka, partition, read_to[partition])

    def _assess(self, kafka: AIOKafkaConsumer, partition: Partition, position: int) -> None:
        at = TopicPartition(*partition)
        end, answered = kafka.highwater(at), kafka.last_poll_timestamp(at)
        if end is None or answered is None:
            return
        labels = partition.topic, str(partition.partition)
        self.lag_events.labels(*labels).set(max(0, end - position))
        # Behind and with nothing committed yet, it is behind at least since it was assigned.
        known = self._newest.get(partition, self._assigned[partition])
        if position >= end:
            known = max(answered / MILLISECONDS, self._newest.get(partition, 0))
        self.lag_seconds.labels(*labels).set(max(0.0, time.time() - known))

    def _expect(self, partition: Partition) -> None:
        self._assigned[partition] = time.time()
        for outcome in OUTCOMES:
            self.records.labels(partition.topic, outcome)

    def _forget(self, partition: Partition) -> None:
        del self._assigned[partition]
        self._newest.pop(partition, None)
        for gauge in (self.lag_events, self.lag_seconds):
            gauge.remove_by_labels(
                {"topic": partition.topic, "partition": str(partition.partition)}
            )


@contextmanager
def given(measured: Metrics, host: str, port: int | None) -> Iterator[None]:
    """Give the metrics over HTTP while the block runs, unless there is no port.

    Raises `SettingError` when the port cannot be had.
    """
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, measured.registry)
    except OSError as error:
        reason = error.strerror or str(error)
        names = f"{variable('metrics_host')}={host}, {variable('metrics_port')}={port}"
        raise SettingError(f"{names}: cannot listen there: {reason}") from error
    address = list(server.server_address[:2])
    structlog.get_logger("runfold").info("metrics are given", address=address)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
