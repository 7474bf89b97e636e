"""A synthetic history: what a platform of agents would have published, by a seed.

The same arguments give the same bytes on every machine. It comes in order of time, a piece at a
time: memory holds the runs that overlap and no more, however long the history.
"""

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Final

from projector.demo import generate_catalog as catalog
from projector.demo.generate_case import case
from projector.demo.generate_envelope import SECOND, Generated, micros
from projector.demo.generate_run import run_events

GAP_SECONDS: Final = 20.0


def history(
    seed: int, runs: int | None, start: datetime, gap_seconds: float = GAP_SECONDS
) -> Iterator[Generated]:
    """Yield all events of `runs` runs, without end when None, in order of time.

    A new run begins every `gap_seconds` after `start`.
    """
    began, gap = micros(start), int(gap_seconds * SECOND)
    pending: list[tuple[int, int, Generated]] = []
    number = count()
    for event in catalog.projects(seed, began):
        heapq.heappush(pending, (event.at, next(number), event))
    for index in count() if runs is None else range(runs):
        now = began + index * gap
        while pending and pending[0][0] < now:
            yield heapq.heappop(pending)[2]
        for event in _begun(seed, index, began, gap):
            heapq.heappush(pending, (event.at, next(number), event))
    while pending:
        yield heapq.heappop(pending)[2]


def _begun(seed: int, index: int, began: int, gap: int) -> Iterator[Generated]:
    """Everything that follows from the beginning of run number `index`."""
    if index and index % catalog.RUNS_PER_REVISION == 0:
        nth = index // catalog.RUNS_PER_REVISION - 1
        yield from catalog.revision(seed, nth, began + index * gap)
    yield from run_events(case(seed, index, began, gap))
