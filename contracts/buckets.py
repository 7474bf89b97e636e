"""Stretches of time that runs are counted by: whole ones make up the number of any range."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

ORIGIN: Final = datetime.min.replace(tzinfo=UTC)
"""Where the first bucket of every level begins."""

OF_ALL_TIME: Final = 0
"""The level that counts runs of all time; it has one bucket."""


class Level(NamedTuple):
    """Buckets of one width."""

    number: int
    width: timedelta

    def floor(self, moment: datetime) -> datetime:
        """Return where the bucket begins that `moment` is in."""
        return moment - (moment - ORIGIN) % self.width


DAY: Final = Level(2, timedelta(days=1))
HOUR: Final = Level(3, timedelta(hours=1))

OF_RUNS: Final[Sequence[Level]] = (Level(1, timedelta(days=16)), DAY, HOUR)
"""Levels by which all runs are counted, the widest first.

A day has about as many counts as there are kinds of runs and workers, and many days hardly more:
with wide buckets a range of years costs about as much as one of days. More levels than three make
no page faster, and every change of a run moves a count of each.
"""

OF_INCIDENTS: Final[Sequence[Level]] = (DAY, HOUR)
"""Levels by which the runs of one incident are counted: few of them last for many days."""
