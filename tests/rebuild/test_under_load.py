"""A rebuild on Apache Kafka under a steady stream of events, watched by a reader all the time."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count, islice

import pytest

from projector.demo.history import Generated, history
from projector.jsonl import Record
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import create_topics
from tests.api_rows import Client, serving
from tests.command import running
from tests.live import settings_of
from tests.rebuild.place import Place, place_of

BEFORE = 10_000
EVENTS_PER_SECOND = 500
PAUSE_S = 0.01

pytestmark = [pytest.mark.crash, pytest.mark.kafka, pytest.mark.timeout(900)]


class Stream:
    """Events of one history, sent at a steady rate for as long as it is wanted."""

    def __init__(self, place: Place, events: Iterator[Generated]) -> None:
        self._place = place
        self._events = events
        self._ended = False

    def _records(self, events: Iterator[Generated]) -> Iterator[Record]:
        for number, event in zip(count(1), events, strict=False):
            if self._ended:
                return
            yield Record(number, event.topic, event.key.encode(), event.value)

    async def send(self, many: int | None, rate: float | None) -> None:
        """Send events, as many as are wanted or until the stream is ended."""
        records = paced(self._records(islice(self._events, many)), rate)
        sent = await publish(self._place.settings, records, "event")
        self._place.sent += sent.total()

    def end(self) -> None:
        """Send no more."""
        self._ended = True


class Watch:
    """A reader that asks for the run list again and again."""

    def __init__(self, api: Client) -> None:
        self.asked = 0
        self.generations: set[str] = set()
        self.longest_s = 0.0
        self._api = api

    async def look(self) -> None:
        """Ask until cancelled; no answer may be an error, no total less than one before."""
        last = 0
        while True:
            began = time.monotonic()
            answer = await self._api.ask("/v1/runs", per_page=5)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert body["total"] >= last
            last = body["total"]
            counted = await self._api.get("/v1/runs/counts")
            assert sum(each["total"] for each in counted["counts"]) >= last
            self.asked += 1
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def watched(place: Place) -> AsyncIterator[Watch]:
    """A reader while the block runs; what it found is raised."""
    async with serving(place.settings.database_url) as api:
        watch = Watch(api)
        looking = asyncio.create_task(watch.look())
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.wait({looking})
            if not looking.cancelled() and looking.exception() is not None:
                looking.result()


async def test_a_reader_sees_no_error_and_no_step_back(
    database_url: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    settings = settings_of(database_url, kafka_bootstrap, topic_prefix)
    await create_topics(settings, settings.partitions)
    async with place_of(settings) as place:
        stream = Stream(place, history(3, None, datetime(2026, 5, 18, 6, tzinfo=UTC)))
        with running("projector", variables=place.variables) as worker:
            await stream.send(BEFORE, None)
            await place.caught_up()
            async with watched(place) as watch:
                live = asyncio.create_task(stream.send(None, EVENTS_PER_SECOND))
                said = await place.done("rebuild", "--name", "second", "--verify")
                assert "no row differs" in said
                assert await place.active() == "second"
                asked = watch.asked
                await place.done("generations", "activate", "main")
                await place.done("generations", "activate", "second")
                await place.done("generations", "drop", "main")
                await place.done("rebuild", "--name", "third")
                assert watch.asked > asked > 100
                stream.end()
                await live
                await place.caught_up()
            await place.is_sound()
            await place.done("generations", "activate", "second")
            assert await place.differences("second", "third") == []
            await place.is_sound()
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 60) == 0
