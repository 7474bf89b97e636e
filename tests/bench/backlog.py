"""Events waiting in topics: the same ones for whoever is measured."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import pytest

from projector.demo.history import Generated, history
from projector.jsonl import Record
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import create_topics
from projector.settings import ProjectorSettings
from tests.bench.figures import Figures

SEED = 1
START = datetime(2026, 5, 18, 6, tzinfo=UTC)

EMBEDDED, APACHE = "the embedded broker", "Apache Kafka"

Fresh = Callable[[], AbstractAsyncContextManager[str]]
"""Gives the URL of a migrated database while a block runs."""


def on_brokers(name: str, quick: float, full: float) -> pytest.MarkDecorator:
    """A little measured on the embedded broker, and much on Apache Kafka; `name` says how much."""
    sizes = pytest.param(EMBEDDED, quick, id="quick"), pytest.param(APACHE, full, id="apache")
    return pytest.mark.parametrize(("site", name), sizes, indirect=["site"])


@dataclass(frozen=True, slots=True)
class Backlog:
    """Topics on a broker, and what they hold."""

    bootstrap: str
    prefix: str
    events: int = 0

    def variables(self, database_url: str, group: str) -> dict[str, str]:
        return {
            "RUNFOLD_DATABASE_URL": database_url,
            "RUNFOLD_KAFKA_BOOTSTRAP": self.bootstrap,
            "RUNFOLD_TOPIC_PREFIX": self.prefix,
            "RUNFOLD_GROUP_ID": self.prefix + group,
        }


def events(many: int | None, seed: int = SEED) -> Iterator[Generated]:
    """The first events of a history; everything is measured with the same one, but for `seed`."""
    return islice(history(seed, None, START), many)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a measurement with a broker runs; `name` is what its figures call the broker."""

    figures: Figures
    fresh: Fresh
    name: str
    bootstrap: str
    prefix: str

    async def fill(self, many: int = 0, seed: int = SEED) -> Backlog:
        settings = ProjectorSettings(
            database_url="postgresql://none",
            kafka_bootstrap=self.bootstrap,
            topic_prefix=self.prefix,
        )
        await create_topics(settings, settings.partitions)
        records = (
            Record(number, event.topic, event.key.encode(), event.value)
            for number, event in enumerate(events(many, seed), 1)
        )
        sent = await publish(settings, paced(records, None), "event")
        return Backlog(self.bootstrap, self.prefix, sent.total())
