"""A rebuild gone on with: as it was asked for, but for what is asked for now."""

from pathlib import Path

from tests.rebuild.place import Place


async def test_what_is_asked_for_now_holds(place: Place, tmp_path: Path) -> None:
    process = await place.begun("rebuild", "--name", "second", "--max-rate", "10")
    await place.phase("second", ["load"])
    process.kill()
    await process.wait()

    file = tmp_path / "history.jsonl"
    file.touch()
    going_on = ("rebuild", "--name", "second", "--resume")
    for option, value in (("--until", "2026-05-18T06:00:00Z"), ("--from-file", str(file))):
        assert await place.refused(*going_on, option, value, status=2) == (
            f"runfold: {option}: this rebuild was begun without it or with another;"
            " begin a new one, or leave it out"
        )
    assert "give both" in await place.refused(*going_on, "--expect-changes", "run", status=2)

    # at the rate it was begun with it would take longer than a test may
    await place.done(*going_on, "--no-activate", "--max-rate", "1000000")
    assert await place.active() == "main"
    await place.done(*going_on)
    assert await place.active() == "main"
    assert await place.done(*going_on, "--activate", "--verify") == (
        "no row differs\ngeneration second is made: see `runfold generations list`\n"
    )
    assert await place.active() == "second"
    await place.caught_up()
    await place.is_sound()


async def test_views_of_the_past_are_not_verified(place: Place) -> None:
    assert await place.refused(
        "rebuild", "--verify", "--until", "2026-05-18T06:00:00Z", status=2
    ) == ("runfold: --verify: views as of an instant differ from those of now; leave out --until")
    assert await place.connection.fetchval("SELECT count(*) FROM runfold.generation") == 1
