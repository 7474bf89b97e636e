"""Pure functions from winning events to rows: no I/O, no clock, no state."""
