"""Pure functions from an event to its row, by topic in `registry`, and from facts to a summary.

Nothing here does I/O, reads a clock or keeps state; `writing.batch` decides which event wins.
"""
