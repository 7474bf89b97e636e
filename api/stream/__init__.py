"""Live updates: which runs have changed, told as it happens."""
