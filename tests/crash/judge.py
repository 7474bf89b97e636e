"""The judgement: everything the workers wrote against what lies in the topics."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from projector.operations.audit import audit
from projector.writing.batch import Partition
from tests.api_rows import serving
from tests.crash.site import Site
from tests.crash.traffic import Ends
from tests.property.answers import differences
from tests.reference import Record, load
from tests.stack.topics import read

DEAD_LETTERS = """
    SELECT topic, partition, "offset", reason
    FROM runfold.dead_letter
    ORDER BY topic, partition, "offset"
"""

TOTALS = "SELECT sum(applied), sum(dead), sum(tombstones), sum(gaps) FROM position"


@dataclass(frozen=True, slots=True)
class Logged:
    partition: Partition
    offset: int
    record: Record


async def read_log(site: Site, ends: Ends) -> list[Logged]:
    """Every record before these ends: the judge believes the log, not the producer."""
    return [
        Logged(at, each.offset, Record(at.topic.removeprefix(site.prefix), key, each.value))
        for at, end in ends.items()
        for each in await read(site.bootstrap, *at, end)
        for key in [None if each.key is None else each.key.decode()]
        if each.offset < end
    ]


async def judge(site: Site, ends: Ends, log: Sequence[Logged] | None = None) -> Counter[Record]:
    """Hold views, dead letters, positions and audit against the log, and count its records.

    The log is what the broker holds before these ends, unless given.
    """
    log = log or await read_log(site, ends)
    platform = load(each.record for each in log)
    dead = [
        (*each.partition, each.offset, letter.reason)
        for each in log
        for letter in load([each.record]).dead
    ]
    stored = {at: end for at, end in (await site.positions()).items() if end}
    assert stored == {at: end for at, end in ends.items() if end}
    async with site.views() as connection:
        assert [tuple(row) for row in await connection.fetch(DEAD_LETTERS)] == sorted(dead)
        [totals] = await connection.fetch(TOTALS)
        known = len(platform.events), len(platform.dead), platform.tombstones
        assert tuple(totals) == (*known, sum(ends.values()) - len(log))
        assert (await audit(connection)).faults == ()
    async with serving(site.database_url) as client:
        assert (await differences(client, platform))[:9] == []
    return Counter(each.record for each in log)
