"""All metrics that runfold gives to Prometheus: the one list of their names.

Times are in seconds. Every label takes few values: topics, partitions, reasons, routes; never a
run, a project or a path. A counter's series ends in `_total`, a histogram has three series.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from contracts.health import Outage


@dataclass(frozen=True, slots=True)
class Metric:
    """The name of a metric, what it says, and its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()

    def series(self) -> Iterator[str]:
        """Yield the names that a query may use."""
        yield self.name


class CounterOf(Metric):
    """A number that only grows, from 0 at the start of the process."""

    def series(self) -> Iterator[str]:
        """Yield the names that a query may use."""
        yield f"{self.name}_total"

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Return it, ready to be counted in a process."""
        return Counter(self.name, self.text, self.labels, registry=registry)

    def family(self) -> CounterMetricFamily:
        """Return it, to be filled when somebody asks."""
        return CounterMetricFamily(self.name, self.text, labels=self.labels)


class GaugeOf(Metric):
    """A number as it is now."""

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """Return it, ready to be set in a process."""
        return Gauge(self.name, self.text, self.labels, registry=registry)

    def family(self) -> GaugeMetricFamily:
        """Return it, to be filled when somebody asks."""
        return GaugeMetricFamily(self.name, self.text, labels=self.labels)


@dataclass(frozen=True, slots=True)
class HistogramOf(Metric):
    """How values are spread over buckets."""

    buckets: tuple[float, ...] = ()

    def series(self) -> Iterator[str]:
        """Yield the names that a query may use."""
        yield from (f"{self.name}_{part}" for part in ("bucket", "sum", "count"))

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """Return it, ready to be observed in a process."""
        return Histogram(self.name, self.text, self.labels, buckets=self.buckets, registry=registry)


def dependencies(
    up: GaugeOf, failures: CounterOf, outages: Iterable[Outage]
) -> tuple[GaugeMetricFamily, CounterMetricFamily]:
    """Return how each dependency is now."""
    families = up.family(), failures.family()
    for outage in outages:
        families[0].add_metric([outage.dependency], float(not outage.is_on))
        families[1].add_metric([outage.dependency], float(outage.failures))
    return families


# From an indexed read to one that holds its answer as long as may be asked for.
_REQUEST: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POLL: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_FRESHNESS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_RECORDS: Final = (1, 5, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)

# The projector. What it counts of records it counts after their commit: records of a batch that
# failed, and was written again whole or in halves, count once.

RECORDS: Final = CounterOf(
    "runfold_records",
    "Records that the views account for, by what became of them: applied, dead (parked as a dead"
    " letter), tombstone (no value), gap (an offset the broker did not deliver).",
    ("topic", "outcome"),
)
DEAD_LETTERS: Final = CounterOf(
    "runfold_dead_letters", "Records parked as dead letters, by reason.", ("reason",)
)
POLL_RECORDS: Final = HistogramOf(
    "runfold_poll_records", "Records in a poll.", buckets=tuple(map(float, _RECORDS))
)
POLL_SECONDS: Final = HistogramOf(
    "runfold_poll_seconds",
    "Time from a poll to the commit of all that was in it, waiting for the database included.",
    buckets=_POLL,
)
FRESHNESS: Final = HistogramOf(
    "runfold_freshness_seconds",
    "Commit of a poll less the timestamp of a record in it: one observation for the first record"
    " of each partition of each poll.",
    ("topic",),
    buckets=_FRESHNESS,
)
LAG_EVENTS: Final = GaugeOf(
    "runfold_partition_lag_events",
    "Records of a partition that its worker knows of and has not committed.",
    ("topic", "partition"),
)
LAG_SECONDS: Final = GaugeOf(
    "runfold_partition_lag_seconds",
    "How old the view of a partition is at most: time since the broker last said that nothing"
    " more is there, or since the timestamp of the newest committed record, whichever is less."
    " Grows while the broker is away, and from the assignment while nothing is committed.",
    ("topic", "partition"),
)
DEPENDENCY_UP: Final = GaugeOf(
    "runfold_dependency_up",
    "1 while a dependency (database, broker) works as far as the worker knows, 0 in an outage.",
    ("dependency",),
)
DEPENDENCY_FAILURES: Final = CounterOf(
    "runfold_dependency_failures", "Failed attempts to use a dependency.", ("dependency",)
)

# The API.

API_DEPENDENCY_UP: Final = GaugeOf(
    "runfold_api_dependency_up",
    "1 while a dependency works as far as the process knows, 0 in an outage or after a fault of the"
    " API's own: database, log of changes (streams), database of the outbox and broker (relay).",
    ("dependency",),
)
API_DEPENDENCY_FAILURES: Final = CounterOf(
    "runfold_api_dependency_failures", "Failed attempts to use a dependency.", ("dependency",)
)
REQUESTS: Final = CounterOf(
    "runfold_api_requests",
    "Requests answered, by the route's template; `unknown` where no route takes the request.",
    ("method", "route", "status"),
)
REQUEST_SECONDS: Final = HistogramOf(
    "runfold_api_request_seconds",
    "Time from a request to its whole answer; of a stream, to its beginning.",
    ("method", "route"),
    buckets=_REQUEST,
)
REQUESTS_IN_PROGRESS: Final = GaugeOf(
    "runfold_api_requests_in_progress", "Requests not answered yet, open streams among them."
)
PROBLEMS: Final = CounterOf(
    "runfold_api_server_problems",
    "Answers with a status of 500 or more, by the problem's code: database_unavailable,"
    " query_timeout, not_yet, internal and so on.",
    ("code",),
)
STREAMS: Final = GaugeOf("runfold_api_streams", "Clients that follow changes now.")
STREAMS_LIMIT: Final = GaugeOf(
    "runfold_api_streams_limit", "Most clients that may follow changes at once."
)
OUTBOX_PENDING: Final = GaugeOf(
    "runfold_outbox_pending", "Decisions not yet published; absent while the database is away."
)
OUTBOX_AGE: Final = GaugeOf(
    "runfold_outbox_age_seconds",
    "Age of the oldest decision not yet published, 0 without one; absent while the database is"
    " away.",
)
APPROVAL_SECONDS: Final = GaugeOf(
    "runfold_approval_seconds",
    "How long an approval is good, from the decision: published later, nobody may act on it.",
)
PARKED: Final = GaugeOf(
    "runfold_dead_letters_parked",
    "Dead letters of the active generation that nobody has retried or discarded, by reason;"
    " absent while the database is away.",
    ("reason",),
)

PROJECTOR: Final[tuple[Metric, ...]] = (
    RECORDS,
    DEAD_LETTERS,
    POLL_RECORDS,
    POLL_SECONDS,
    FRESHNESS,
    LAG_EVENTS,
    LAG_SECONDS,
    DEPENDENCY_UP,
    DEPENDENCY_FAILURES,
)
"""What a worker gives."""

API: Final[tuple[Metric, ...]] = (
    API_DEPENDENCY_UP,
    API_DEPENDENCY_FAILURES,
    REQUESTS,
    REQUEST_SECONDS,
    REQUESTS_IN_PROGRESS,
    PROBLEMS,
    STREAMS,
    STREAMS_LIMIT,
    OUTBOX_PENDING,
    OUTBOX_AGE,
    APPROVAL_SECONDS,
    PARKED,
)
"""What an API process gives."""
