"""All metrics that runfold gives to Prometheus: the one list of their names.

Times are in seconds. Every label takes few values: topics, partitions, reasons, routes; never a
run, a project or a path. A counter's series ends in `_total`, a histogram has three series.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from contracts.health import Outage

# From an indexed read to one that holds its answer as long as may be asked for.
_REQUEST: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POLL: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_FRESHNESS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_RECORDS: Final = (1, 5, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)


class ProjectorMetrics:
    """What a worker gives.

    What it counts of records it counts after their commit: records of a batch that failed, and
    was written again whole or in halves, count once.
    """

    def __init__(self, *outages: Outage) -> None:
        self.registry = of = _registry()
        self.dependencies = Dependencies("runfold", outages)
        of.register(self.dependencies)
        self.records = Counter(
            "runfold_records",
            "Records that the views account for, by what became of them: applied, dead (parked as a"
            " dead letter), tombstone (no value), gap (an offset the broker did not deliver).",
            ("topic", "outcome"),
            registry=of,
        )
        self.dead_letters = Counter(
            "runfold_dead_letters",
            "Records parked as dead letters, by reason.",
            ("reason",),
            registry=of,
        )
        self.poll_records = Histogram(
            "runfold_poll_records", "Records in a poll.", registry=of, buckets=_RECORDS
        )
        self.poll_seconds = Histogram(
            "runfold_poll_seconds",
            "Time from a poll to the commit of all that was in it, waiting for the database"
            " included.",
            registry=of,
            buckets=_POLL,
        )
        self.freshness = Histogram(
            "runfold_freshness_seconds",
            "Commit of a poll less the timestamp of a record in it: one observation for the first"
            " record of each partition of each poll.",
            ("topic",),
            registry=of,
            buckets=_FRESHNESS,
        )
        self.lag_events = Gauge(
            "runfold_partition_lag_events",
            "Records of a partition that its worker knows of and has not committed.",
            ("topic", "partition"),
            registry=of,
        )
        self.lag_seconds = Gauge(
            "runfold_partition_lag_seconds",
            "How old the view of a partition is at most: time since the broker last said that"
            " nothing more is there, or since the timestamp of the newest committed record,"
            " whichever is less. Grows while the broker is away, and from the assignment while"
            " nothing is committed.",
            ("topic", "partition"),
            registry=of,
        )


class ApiMetrics:
    """What an API process gives."""

    def __init__(self, outages: Iterable[Outage]) -> None:
        self.registry = of = _registry()
        self.dependencies = Dependencies("runfold_api", outages)
        of.register(self.dependencies)
        self.requests = Counter(
            "runfold_api_requests",
            "Requests answered, by the route's template; `unknown` where no route takes the"
            " request.",
            ("method", "route", "status"),
            registry=of,
        )
        self.request_seconds = Histogram(
            "runfold_api_request_seconds",
            "Time from a request to its whole answer; of a stream, to its beginning.",
            ("method", "route"),
            registry=of,
            buckets=_REQUEST,
        )
        self.in_progress = Gauge(
            "runfold_api_requests_in_progress",
            "Requests not answered yet, open streams among them.",
            registry=of,
        )
        self.problems = Counter(
            "runfold_api_server_problems",
            "Answers with a status of 500 or more, by the problem's code: database_unavailable,"
            " query_timeout, not_yet, internal and so on.",
            ("code",),
            registry=of,
        )
        self.streams = Gauge("runfold_api_streams", "Clients that follow changes now.", registry=of)
        self.streams_limit = Gauge(
            "runfold_api_streams_limit",
            "Most clients that may follow changes at once.",
            registry=of,
        )
        self.approval_seconds = Gauge(
            "runfold_approval_seconds",
            "How long an approval is good, from the decision: published later, nobody may act on"
            " it.",
            registry=of,
        )
        self.backlog = of = CollectorRegistry()
        """Those that are absent while the database is away."""
        self.outbox_pending = Gauge(
            "runfold_outbox_pending",
            "Decisions not yet published; absent while the database is away.",
            registry=of,
        )
        self.outbox_age = Gauge(
            "runfold_outbox_age_seconds",
            "Age of the oldest decision not yet published, 0 without one; absent while the database"
            " is away.",
            registry=of,
        )
        self.parked = Gauge(
            "runfold_dead_letters_parked",
            "Dead letters of the active generation that nobody has retried or discarded, by"
            " reason; absent while the database is away.",
            ("reason",),
            registry=of,
        )


class Dependencies(Collector):
    """How each dependency (`database`, `broker` and so on) is when somebody asks."""

    def __init__(self, prefix: str, outages: Iterable[Outage]) -> None:
        self._prefix, self._outages = prefix, outages

    def collect(self) -> Iterator[Metric]:
        """Yield how each is, and how often it was not."""
        up = GaugeMetricFamily(
            f"{self._prefix}_dependency_up",
            "1 while a dependency works as far as the process knows, 0 in an outage or after a"
            " fault of the process's own.",
            labels=["dependency"],
        )
        failures = CounterMetricFamily(
            f"{self._prefix}_dependency_failures",
            "Failed attempts to use a dependency.",
            labels=["dependency"],
        )
        for outage in self._outages:
            up.add_metric([outage.dependency], float(not outage.is_on))
            failures.add_metric([outage.dependency], float(outage.failures))
        yield from (up, failures)


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
