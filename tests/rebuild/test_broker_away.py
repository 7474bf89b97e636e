"""A broker that goes away while a history is read is waited for, and that is told once."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
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
pytestmark = pytest.mark.crash

TOLD = ["broker is away; waiting for it and trying again", "broker is back"]


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


def interrupt(
    monkeypatch: pytest.MonkeyPatch,
    own: EmbeddedBroker,
    where: object,
    reads: str,
    lines: Sequence[object],
) -> None:
    """Have what reads begin at a paused broker, which goes on once that is told."""
    read = getattr(where, reads)

    async def interrupted(*arguments: Any) -> None:
        own.pause()
        reading = asyncio.create_task(read(*arguments))
        try:
            await until(lambda: lines, 60, "the broker to be missed")
        finally:
            own.resume()
        await reading

    monkeypatch.setattr(log_reader, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(where, reads, interrupted)


async def test_a_rebuild_tells_of_it_and_goes_on(
    place: Place, own: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await spans(place.settings)
    for statement in schema.creation("second", complete=False):
        await place.connection.execute(statement)
    with capture_logs() as lines:
        interrupt(monkeypatch, own, Reader, "up_to", lines)
        await load_topics(place.settings, Options(name="second"), plan)
    assert [line["event"] for line in lines] == TOLD
    assert await place.connection.fetchval(LOADED) == place.sent


async def test_an_export_tells_of_it_and_goes_on(
    place: Place, own: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as lines:
        interrupt(monkeypatch, own, export, "_copy", lines)
        exported = await export.export(place.settings, BytesIO())
    assert [line["event"] for line in lines] == TOLD
    assert exported.written.total() == place.sent
