"""A history without end, in which every kind of bad record comes up again and again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, cycle, islice
from random import Random

from projector.demo.history import history as generated
from tests.histories.bad import KINDS
from tests.histories.events import Draft
from tests.histories.generator import next_record
from tests.histories.world import World
from tests.reference import Record

FROM_A_WORLD, FROM_THE_GENERATOR, BAD = 60, 60, 3
START = datetime(2026, 5, 18, 6, tzinfo=UTC)


def story(seed: int) -> Iterator[Record]:
    """Chapters that share incidents, messages and records with each other, each shuffled.

    Half of it are runs of a random world, few and full of ties, half are a platform's ordinary
    days. Event ids are unique throughout.
    """
    rng = Random(seed)
    ordinary = generated(seed, None, START)
    kinds = cycle(rng.sample(KINDS, len(KINDS)))
    for chapter in count():
        world = World.draw(rng)
        world.serial = chapter * 1000
        drafts: list[Draft] = []
        records = [next_record(world, drafts, bad=True) for _ in range(FROM_A_WORLD)]
        records += [kind.record(world) for kind in islice(kinds, BAD)]
        records += [
            Record(event.topic, event.key, event.value)
            for event in islice(ordinary, FROM_THE_GENERATOR)
        ]
        rng.shuffle(records)
        yield from records
