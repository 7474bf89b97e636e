"""Alembic migrations of the control schema; a generation's tables come from the read model."""
