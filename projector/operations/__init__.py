"""What operators look at and ask for: status, audit, dead letters, metrics, exports.

It reads the views and the control schema; rows of a generation are written by `projector.writing`,
but for the counts of dead letters that a swap takes over.
"""
