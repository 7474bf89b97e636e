"""The commands: options in, one function called, its answer printed."""
