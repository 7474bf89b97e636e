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
    assert finished.out.startswith("generation second is made")
    said, phases = finished.err.splitlines(), ["settle", "catch up", "swap"]
    assert [line for line in said if line in phases] == phases
    loaded = rf"load: {place.sent:,} of {place.sent:,} events, [0-9,]+ events/s, 0:00 left"
    assert [line for line in said if re.fullmatch(loaded, line)], said
    assert await place.active() == "second"
    assert await place.connection.fetchval(KEPT_FROM_AUTOVACUUM) == 0
    await place.is_sound(*history(22, size=100))

    assert "'second'" in await place.refused("rebuild", "--name", "second", status=2)
    assert "'x'" in await place.refused("rebuild", "--name", "x", "--resume", status=2)
    listed = await place.done("generations", "list")
    states = re.findall(r"^generation name=(\w+) state=([\w ]+) as", listed, re.MULTILINE)
    assert states == [("main", "standing by"), ("second", "active")]
    compared = await place.call("generations", "diff", "main", "second")
    assert compared.status == 1
    assert "they stand 100 events apart" in compared.err

    assert await place.done("generations", "activate", "main") == "generation main is active\n"
    assert "already" in await place.done("generations", "activate", "main")
    await place.is_sound(*history(23, size=50))
    assert await place.done("generations", "activate", "second") == "generation second is active\n"
    assert await place.done("generations", "diff", "main", "second") == "no row differs\n"

    assert "'second' is not dropped" in await place.refused("generations", "drop", "second")
    assert await place.done("generations", "drop", "main") == "generation main is dropped\n"
    assert "no generation 'main'" in await place.refused("generations", "drop", "main")
    await place.is_sound(*history(24, size=50))
