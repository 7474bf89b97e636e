"""Random histories of a small platform, to hold the product against the reference model.

    records = history(seed, bad=True)             # fast: for thousands of seeds
    polls = schedule(records, seed, workers=3)    # per worker, polls of deliveries with offsets
    ...                                           # apply each worker's polls in a task of its own
    platform = load(records)                      # what the views must say: tests.reference

Few of everything exist (2 or 3 projects, up to 5 runs, 2 to 4 incidents, 18 instants) and ids are
shared on purpose: versions, times and ids tie, entities move between runs and projects, and each
thing comes before or after what it belongs to. `bad.KINDS` lists every way to be unusable.
"""

from tests.histories.generator import history
from tests.histories.schedules import Delivery, Poll, deliveries, schedule

__all__ = ["Delivery", "Poll", "deliveries", "history", "schedule"]
