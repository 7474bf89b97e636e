"""A broker that goes away while a history is read is waited for, and that is logged once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from structlog.testing import capture_logs

from projector.generations import schema
from projector.generations.load import load_topics
from projector.generations.plan import Options, spans
from projector.generations.reader import Reader
from projector.kafka import log_reader
from projector.kafka.topics import create_topics
from projector.operations import export
from tests.histories import history
from tests.live import settings_of
from tests.rebuild.place import Place, place_of
from tests.stack.servers import EmbeddedBroker
from tests.stack.waiting import until

LOADED = "SELECT sum(next_offset)::int FROM g_second.position"


@pytest.fixture
def own() -> Iterator[EmbeddedBroker]:
    """A broker that may be paused without anybody else noticing."""
    with EmbeddedBroker() as server:
        yield server


@pytest.fixture
async def place(database_url: str, topic_prefix: str, own: EmbeddedBroker) -> AsyncIterator[Place]:
    """A place with a history that nobody has read, at a broker of its own."""
    settings = settings_of(database_url, own.bootstrap, topic_prefix)
    await create_topics(settings, settings.partitions)
    async with place_of(settings) as made:
        await made.send(history(21, size=100))
        yield made


async def loaded(place: Place) -> int:
    """Load the topics as a rebuild does: the events that are in the new generation."""
    plan = await spans(place.settings)
    for statement in schema.creation("second", complete=False):
        await place.connection.execute(statement)
    await load_topics(place.settings, Options(name="second"), plan)
    return int(await place.connection.fetchval(LOADED))


async def exported(place: Place) -> int:
    return (await export.export(place.settings, BytesIO())).written.total()


@pytest.mark.crash
@pytest.mark.parametrize(
    ("read", "where", "reads"), [(loaded, Reader, "up_to"), (exported, export, "_copy")]
)
async def test_it_is_waited_for_and_nothing_is_lost(
    place: Place,
    own: EmbeddedBroker,
    monkeypatch: pytest.MonkeyPatch,
    *,
    read: Callable[[Place], Awaitable[int]],
    where: object,
    reads: str,
) -> None:
    original = getattr(where, reads)
    with capture_logs() as lines:

        async def interrupted(*arguments: Any) -> None:
            """Begin at a paused broker, which goes on once that is logged."""
            own.pause()
            reading = asyncio.create_task(original(*arguments))
            try:
                await until(lambda: lines, 60, "the broker to be missed")
            finally:
                own.resume()
            await reading

        monkeypatch.setattr(log_reader, "SILENT_SECONDS", 0.5)
        monkeypatch.setattr(where, reads, interrupted)
        assert await read(place) == place.sent
    told = ["broker is away; waiting for it and trying again", "broker is back"]
    assert [line["event"] for line in lines] == told
