"""The commands, as a person runs them, one after the other."""

import re

from tests.histories import history
from tests.rebuild.place import Place

KEPT_FROM_AUTOVACUUM = """
    SELECT count(*) FROM pg_class
    WHERE relnamespace = 'g_second'::regnamespace AND reloptions::text LIKE '%autovacuum%'
"""


async def test_a_generation_is_made_swapped_in_and_back_and_dropped(place: Place) -> None:
    finished = await place.call("rebuild", "--name", "second")
    assert finished.status == 0, finished
    assert finished.out == "generation second is made: see `runfold generations list`\n"
    said = finished.err.splitlines()
    assert [line for line in said if line in {"settle", "catch up", "swap"}] == [
        "settle",
        "catch up",
        "swap",
    ]
    loaded = rf"load: {place.sent:,} of {place.sent:,} events, [0-9,]+ events/s, 0:00 left"
    assert [line for line in said if re.fullmatch(loaded, line)], said
    assert await place.active() == "second"
    assert await place.connection.fetchval(KEPT_FROM_AUTOVACUUM) == 0
    await place.send(history(22, size=100))
    await place.caught_up()
    await place.is_sound()

    listed = await place.done("generations", "list")
    assert re.findall(r"^generation name=(\w+) state=([\w ]+) as", listed, re.MULTILINE) == [
        ("main", "standing by"),
        ("second", "active"),
    ]
    compared = await place.call("generations", "diff", "main", "second")
    assert compared.status == 1
    assert "they stand 100 events apart" in compared.err

    assert await place.done("generations", "activate", "main") == "generation main is active\n"
    assert (
        await place.done("generations", "activate", "main") == "generation main is active already\n"
    )
    await place.send(history(23, size=50))
    await place.caught_up()
    await place.is_sound()
    assert await place.done("generations", "activate", "second") == "generation second is active\n"
    assert await place.done("generations", "diff", "main", "second") == "no row differs\n"

    assert await place.refused("generations", "drop", "second") == (
        "runfold: generation 'second' is not dropped: it is the active one; activate another one"
        " first"
    )
    assert await place.done("generations", "drop", "main") == "generation main is dropped\n"
    assert await place.refused("generations", "drop", "main") == (
        "runfold: there is no generation 'main': see `runfold generations list`"
    )
    await place.send(history(24, size=50))
    await place.caught_up()
    await place.is_sound()


async def test_names_and_options_that_cannot_be_are_refused(place: Place) -> None:
    assert "there is a generation 'main'" in await place.refused(
        "rebuild", "--name", "main", status=2
    )
    assert await place.refused("rebuild", "--name", "No!", status=2) == (
        "runfold: --name: 'No!' is not 1 to 40 of a-z, 0-9 and _"
    )
    assert "there is no rebuild of generation 'x' to resume" in await place.refused(
        "rebuild", "--name", "x", "--resume", status=2
    )
    assert "--resume: say which" in await place.refused("rebuild", "--resume", status=2)
    assert "--until: 'now' is no timestamp" in await place.refused(
        "rebuild", "--until", "now", status=2
    )
    instant = ["--until", "2026-05-18T06:00:00Z"]
    assert await place.refused("rebuild", *instant, "--activate", status=2) == (
        "runfold: --activate: views as of an instant are never activated; leave out --until"
    )
    assert "both" in await place.refused("rebuild", "--expect-changes", "run", status=2)
    assert await place.refused("projector", "--generation", "No!", status=2) == (
        "runfold: --generation: 'No!' is not 1 to 40 of a-z, 0-9 and _"
    )
    assert await place.active() == "main"
