"""Before a comparison and before a swap, both generations are near each other."""

from collections.abc import AsyncIterator

import pytest

from projector.generations import catch_up
from projector.generations.catch_up import ActiveBehind, CatchUp, FarBehind, catching_up
from projector.generations.pace import Pace
from projector.generations.plan import Options
from projector.generations.rebuild import Rebuild, rebuild
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
            await made.send(history(81, size=60))
            await made.caught_up()
        await made.send(history(82, size=40))
        yield made


class Outrun(Pace):
    """Lets more events come than have just been read."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    async def after(self, events: int) -> None:
        """Send some more, up to date in the active generation."""
        await self._place.send(history(83, size=events + 20))
        await self._place.caught_up()


async def test_it_does_not_swap_from_afar(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "CLOSE_ENOUGH", 5)
    monkeypatch.setattr(catch_up, "MOST_BEHIND", 10)
    await place.done("rebuild", "--name", "second", "--no-activate")
    await place.send(history(84, size=20))
    await place.caught_up()
    wanted = r"generation 'second' is \d+ events behind the active one and comes no nearer"
    async with catching_up(place.connection, place.settings, "second", allow_gap=False) as here:
        with pytest.raises(FarBehind, match=wanted):
            await here.near(Outrun(place))


async def test_it_is_near_again_after_a_comparison(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "CLOSE_ENOUGH", 5)
    verify, swap = Rebuild._verify, CatchUp.swap
    behind = []

    async def slowly(self: Rebuild, comes: CatchUp) -> None:
        await verify(self, comes)
        await place.send(history(85, size=40))
        await place.caught_up()

    async def looked_at(self: CatchUp) -> None:
        behind.append(await self._behind())
        await swap(self)

    monkeypatch.setattr(Rebuild, "_verify", slowly)
    monkeypatch.setattr(CatchUp, "swap", looked_at)
    await rebuild(place.settings, Options(name="second", verify=True), lambda _: None)
    assert behind == [0]
    assert await place.active() == "second"


async def test_what_is_compared_stands_at_the_same_events(
    idle: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "LEVEL_SECONDS", 0.5)
    wanted = "the active generation is 40 events behind 'second' and comes no nearer"
    with pytest.raises(ActiveBehind, match=wanted):
        await rebuild(idle.settings, Options(name="second", verify=True), lambda _: None)
    assert await idle.active() == "main"
    monkeypatch.undo()
    async with running_worker(idle.settings):
        said = await idle.done("rebuild", "--name", "second", "--resume")
    assert "no row differs" in said
    assert await idle.active() == "second"


async def test_events_that_only_the_new_one_has_are_told_by_a_reset(idle: Place) -> None:
    async with listening(idle.settings.database_url) as served:
        async with following(served) as client:
            await rebuild(idle.settings, Options(name="second"), lambda _: None)
            assert (await client.next()).event == "reset"
            place = client.place
        async with following(served, place=place) as again, running_worker(idle.settings):
            await idle.send(history(86, size=10))
            assert (await again.next()).event == "run"
