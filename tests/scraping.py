"""Metrics as Prometheus would read them."""

import asyncio
from collections.abc import Iterator
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """What one process gave at one instant."""

    def __init__(self, text: str) -> None:
        self._families: list[Metric] = [*text_string_to_metric_families(text)]

    def names(self) -> set[str]:
        """The names of all series."""
        return {name for name, _, _ in self._samples()}

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels; AssertionError when there is none."""
        found = self.each(name, **labels)
        assert found, f"no series {name} with {labels}"
        return sum(found)

    def each(self, name: str, **labels: str) -> list[float]:
        """The values of the series that have these labels."""
        return [
            value
            for found, given, value in self._samples()
            if found == name and labels.items() <= given.items()
        ]

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric, by one of its labels."""
        totals: dict[str, float] = {}
        for found, given, value in self._samples():
            if found == name:
                totals[given[label]] = totals.get(given[label], 0) + value
        return totals

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
