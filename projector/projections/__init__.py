"""Pure functions: from an event to its row, and from stored facts to a run's summary.

Nothing here does I/O, reads a clock or keeps state; `registry` says which topic fills which table.
"""
