"""Metrics as Prometheus would read them."""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from contracts.metrics import ApiMetrics, Dependencies, ProjectorMetrics

SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Given(NamedTuple):
    """A metric that a process gives."""

    name: str
    series: tuple[str, ...]
    """The names that a query may use."""
    labels: set[str]


def catalogue(metrics: ApiMetrics | ProjectorMetrics) -> list[Given]:
    """All that a process gives; it must know of a dependency."""
    found = []
    for each in vars(metrics).values():
        if isinstance(each, (MetricWrapperBase, Dependencies)):
            for family in each.collect():
                series = tuple(f"{family.name}{suffix}" for suffix in SERIES[family.type])
                labels = {label for sample in family.samples for label in sample.labels}
                if isinstance(each, MetricWrapperBase):
                    labels = {*each._labelnames}
                found.append(Given(family.name, series, labels))
    return found


class Scrape:
    """What one process gave at one instant."""

    def __init__(self, text: str) -> None:
        self._families: list[Metric] = [*text_string_to_metric_families(text)]

    def names(self) -> set[str]:
        return {name for name, _, _ in self._samples()}

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels; AssertionError when there is none."""
        found = self.each(name, **labels)
        assert found, f"no series {name} with {labels}"
        return sum(found)

    def each(self, name: str, **labels: str) -> list[float]:
        """The values of the series that have these labels."""
        named = ((given, value) for found, given, value in self._samples() if found == name)
        return [value for given, value in named if labels.items() <= given.items()]

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric, by one of its labels."""
        values = {given[label] for found, given, _ in self._samples() if found == name}
        return {value: self.total(name, **{label: value}) for value in values}

    def _samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        for family in self._families:
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value


async def scrape(port: int) -> Scrape:
    """What a worker on this machine gives at this port."""

    def ask() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    return Scrape(await asyncio.to_thread(ask))
