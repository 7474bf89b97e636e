"""A history: a seed's records, good ones, repeated ones, tombstones and, if wished, bad ones."""

from random import Random

from tests.histories.bad import bad_record
from tests.histories.events import Draft, draft
from tests.histories.world import World
from tests.reference import Record

REPEATED, TOMBSTONES, BAD = 0.1, 0.03, 0.12


def history(seed: int, size: int = 60, *, bad: bool = False) -> list[Record]:
    """`size` records; the same seed, size and flag give the same bytes.

    Without `bad` every value is a valid event. Ids of events are unique: a record that repeats
    an id repeats its event, though not always its bytes.
    """
    world = World.draw(Random(seed))
    drafts: list[Draft] = []
    return [next_record(world, drafts, bad=bad) for _ in range(size)]


def next_record(world: World, drafts: list[Draft], *, bad: bool) -> Record:
    if bad and world.chance(BAD):
        return bad_record(world)
    if drafts and world.chance(REPEATED):
        return world.pick(drafts).record(world)
    drafts.append(draft(world))
    if world.chance(TOMBSTONES):
        made = drafts.pop()
        return Record(made.topic, made.key, None)
    return drafts[-1].record(world)
