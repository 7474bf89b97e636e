"""A rebuild on Apache Kafka under a steady stream of events, watched by a reader all the time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count, islice, takewhile

import pytest

from projector.demo.history import history
from projector.jsonl import Record
from projector.kafka.publishing import paced, publish
from projector.kafka.topics import create_topics
from tests.api_rows import Client, serving
from tests.command import running
from tests.live import settings_of, variables_of
from tests.rebuild.place import Place, place_of

BEFORE = 10_000
EVENTS_PER_SECOND = 500
PAUSE_S = 0.01

pytestmark = [pytest.mark.crash, pytest.mark.kafka, pytest.mark.timeout(900)]


@asynccontextmanager
async def watched(place: Place) -> AsyncIterator[Callable[[], int]]:
    """A reader of the run list while the block runs; what it found is raised.

    No answer may be an error, no total less than one before. Gives how often it has asked.
    """
    asked = 0

    async def look(api: Client) -> None:
        nonlocal asked
        last = 0
        while True:
            total = (await api.get("/v1/runs", per_page=5))["total"]
            assert total >= last
            last = total
            counted = await api.get("/v1/runs/counts")
            assert sum(each["total"] for each in counted["counts"]) >= last
            asked += 1
            await asyncio.sleep(PAUSE_S)

    async with serving(place.settings.database_url) as api, asyncio.TaskGroup() as group:
        looking = group.create_task(look(api))
        yield lambda: asked
        looking.cancel()


async def test_a_reader_sees_no_error_and_no_step_back(
    database_url: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    settings = settings_of(database_url, kafka_bootstrap, topic_prefix)
    await create_topics(settings, settings.partitions)
    events = history(3, None, datetime(2026, 5, 18, 6, tzinfo=UTC))
    records = (
        Record(number, event.topic, event.key.encode(), event.value)
        for number, event in zip(count(1), events, strict=False)
    )
    ended = asyncio.Event()

    async def send(many: int | None = None, rate: float | None = None) -> None:
        """Send events, so many or until the stream is ended."""
        some = takewhile(lambda _: not ended.is_set(), islice(records, many))
        place.sent += (await publish(settings, paced(some, rate), "event")).total()

    async with place_of(settings) as place:
        with running("projector", variables=variables_of(settings)) as worker:
            await send(BEFORE)
            await place.caught_up()
            async with watched(place) as asked:
                live = asyncio.create_task(send(rate=EVENTS_PER_SECOND))
                said = await place.done("rebuild", "--name", "second", "--verify")
                assert "no row differs" in said
                assert await place.active() == "second"
                before = asked()
                await place.done("generations", "activate", "main")
                await place.done("generations", "activate", "second")
                await place.done("generations", "drop", "main")
                await place.done("rebuild", "--name", "third")
                assert asked() > before > 100
                ended.set()
                await live
                await place.caught_up()
            await place.is_sound()
            await place.done("generations", "activate", "second")
            assert await place.differences("second", "third") == []
            await place.is_sound()
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 60) == 0
