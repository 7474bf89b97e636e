"""The views as of an instant: read by operators who name them, never by anybody by mistake."""

from datetime import UTC, datetime, timedelta

from tests.api_rows import serving
from tests.histories import history
from tests.rebuild.moments import before, middle
from tests.rebuild.place import Place
from tests.reference import counts, load

PAST = "runfold: generation 'past' is as of "


async def test_it_says_what_the_events_up_to_then_say(place: Place) -> None:
    instant = middle(history(21, size=400, bad=True))
    await place.done("rebuild", "--name", "past", "--until", instant.isoformat())
    assert await place.active() == "main"
    told = load(before(history(21, size=400, bad=True), instant))
    async with serving(place.settings.database_url) as api:
        seen = await api.get("/v1/runs/counts", roles=["operator"], generation="past")
        assert seen["counts"] == counts(told)
        live = await api.get("/v1/runs/counts", roles=["operator"], generation="main")
        assert live["counts"] != seen["counts"]
        assert live == await api.get("/v1/runs/counts")
        for roles in (["viewer"], ["viewer", "approver"]):
            await api.fails("/v1/runs/counts", 403, "forbidden", roles=roles, generation="past")
        await api.fails(
            "/v1/runs", 404, "generation_not_found", roles=["operator"], generation="none"
        )
        await api.fails("/v1/runs", 422, "invalid_parameter", roles=["operator"], generation="a; b")
        shown = await api.get("/v1/ops/projection", roles=["operator"], generation="past")
        assert shown["generation"] == "past"


async def test_it_is_neither_activated_nor_kept_up_to_date(place: Place) -> None:
    instant = datetime.now(UTC) + timedelta(days=10_000)
    await place.done("rebuild", "--name", "past", "--until", instant.isoformat())
    assert (await place.refused("generations", "activate", "past")).startswith(PAST)
    place.settings = place.settings.model_copy(update={"generation": "past"})
    finished = await place.call("projector")
    assert finished.status == 1
    assert PAST.removeprefix("runfold: ") in finished.err
    assert await place.active() == "main"
    assert await place.differences("main", "past") == []


async def test_one_that_is_being_made_cannot_be_read(place: Place) -> None:
    process = await place.begun("rebuild", "--name", "half", "--max-rate", "10")
    await place.phase("half", ["load"])
    async with serving(place.settings.database_url) as api:
        await api.fails(
            "/v1/runs", 404, "generation_not_found", roles=["operator"], generation="half"
        )
        shown = await api.get("/v1/ops/projection", roles=["operator"])
        (rebuild,) = shown["rebuilds"]
        assert (rebuild["generation"], rebuild["phase"], rebuild["is_running"]) == (
            "half",
            "load",
            True,
        )
    process.kill()
    await process.wait()
    async with serving(place.settings.database_url) as api:
        (rebuild,) = (await api.get("/v1/ops/projection", roles=["operator"]))["rebuilds"]
        assert not rebuild["is_running"]
