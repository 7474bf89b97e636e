"""The log of runs that changed: what a live stream of runs is made from.

Workers write it in the transaction that changes the rows; it belongs to no generation, so a
change of the active one leaves it as it is. Who reads it goes by transactions, not by order: a
snapshot says exactly which of them it contains, however late one of them commits.
"""

from typing import Final

CHANNEL: Final = "runfold_changes"
"""Notified, without a payload, by every transaction that has written to the log."""
