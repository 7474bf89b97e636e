"""What operators ask of workers over the API, and what comes of it.

The API stores what is asked; a worker, which alone may write views, carries it out and stores what
came of it. Asked twice, the second finds the dead letter retried or discarded already.
"""

from enum import StrEnum
from typing import Final

CHANNEL: Final = "runfold_requests"
"""Notified, without a payload, when something is asked."""


class Action(StrEnum):
    """What is to be done with a dead letter."""

    RETRY = "retry"
    DISCARD = "discard"


class Outcome(StrEnum):
    """What came of it."""

    DONE = "done"
    UNKNOWN = "unknown"
    """There is no such dead letter."""
    NOT_PARKED = "not_parked"
    """It was retried or discarded before."""
    STILL_BAD = "still_bad"
    """The record cannot be used today either."""
