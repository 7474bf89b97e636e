"""Before a comparison and before a swap, both generations are near each other."""

from collections.abc import AsyncIterator

import pytest

from contracts.errors import OperationError
from projector.generations import catch_up
from projector.generations.catch_up import CatchUp, catching_up
from projector.generations.reader import Ends, Reader
from projector.generations.rebuild import Rebuild
from tests.histories import history
from tests.live import running_worker, settings_of
from tests.rebuild.place import Place, place_of
from tests.streams import following, listening


@pytest.fixture
async def idle(database_url: str, bootstrap: str, topic_prefix: str) -> AsyncIterator[Place]:
    """A place whose worker has ended, and has not seen the last events."""
    settings = settings_of(database_url, bootstrap, topic_prefix)
    async with place_of(settings) as made:
        async with running_worker(settings):
            await made.is_sound(*history(81, size=60))
        await made.send(history(82, size=40))
        yield made


async def test_it_swaps_neither_from_afar_nor_long_after_a_comparison(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "CLOSE_ENOUGH", 5)
    monkeypatch.setattr(catch_up, "MOST_BEHIND", 10)
    up_to, swap, compare = Reader.up_to, CatchUp.swap, Rebuild._verify
    behind = []

    async def outrun(self: Reader, ends: Ends) -> None:
        await up_to(self, ends)
        await place.is_sound(*history(83, size=40))

    async def slowly(self: Rebuild, comes: CatchUp) -> object:
        found = await compare(self, comes)
        await place.is_sound(*history(83, size=40))
        return found

    async def looked_at(self: CatchUp) -> None:
        behind.append(await self._behind())
        await swap(self)

    await place.rebuild("second", activate=False)
    await place.is_sound(*history(83, size=20))
    with monkeypatch.context() as patched:
        patched.setattr(Reader, "up_to", outrun)
        wanted = r"generation 'second' is 40 events behind the active one and comes no nearer"
        async with catching_up(place.connection, place.settings, "second", allow_gap=False) as here:
            with pytest.raises(OperationError, match=wanted):
                await here.near()

    monkeypatch.setattr(Rebuild, "_verify", slowly)
    monkeypatch.setattr(CatchUp, "swap", looked_at)
    await place.rebuild("third", verify=True)
    assert behind == [0]
    assert await place.active() == "third"


async def test_what_is_compared_stands_at_the_same_events(
    idle: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "LEVEL_SECONDS", 0.5)
    wanted = "the active generation is 40 events behind 'second' and comes no nearer"
    with pytest.raises(OperationError, match=wanted):
        await idle.rebuild("second", verify=True)
    assert await idle.active() == "main"
    monkeypatch.undo()
    async with running_worker(idle.settings):
        found = await idle.resume("second")
    assert found is not None
    assert found.total == 0
    assert await idle.active() == "second"


async def test_events_that_only_the_new_one_has_are_told_by_a_reset(idle: Place) -> None:
    async with listening(idle.settings.database_url) as served:
        async with following(served) as client:
            await idle.rebuild("second")
            assert (await client.next()).event == "reset"
            place = client.place
        async with following(served, place=place) as again, running_worker(idle.settings):
            await idle.send(history(86, size=10))
            assert (await again.next()).event == "run"
